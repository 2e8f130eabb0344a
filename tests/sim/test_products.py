# SPDX-License-Identifier: Apache-2.0
"""Products of keys and values in the C++: every record of random Programs equals the interpreter's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.programs import draw, machine

from hlsgen.emit.hls import hls
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import known
from hlsgen.sim.csim import CSim

STALLED = ("-DHLSGEN_STALLS=7",)


@pytest.mark.parametrize(
    ("shape", "flags"),
    [
        ((3, 4, 2), ()),
        ((4, 2, 4, 2), STALLED),
        pytest.param((4, 4, 4, 4), (), marks=pytest.mark.slow),
        pytest.param((1, 1, 8), STALLED, marks=pytest.mark.slow),
        pytest.param((5, 8, 1), STALLED, marks=pytest.mark.slow),
    ],
    ids=lambda value: "x".join(map(str, value)) if value and isinstance(value[0], int) else "",
)
def test_random_programs_equal_the_interpreter(
    shape: tuple[int, ...], flags: tuple[str, ...], cpp_folder: Path
) -> None:
    parameters = machine(*shape)
    program, image, pixels = draw(parameters, seed=1, count=100)
    expected = Interpreter(parameters, image.pack()).run(pixels)
    files = hls(program, image)
    cpp = CSim(program, image.pack(), files, cpp_folder, tracing=True, sanitize=True, flags=flags)
    got = cpp.run_packed([pixels])
    np.testing.assert_array_equal(
        *(known(program.commands, records) for records in (got.records[0], expected.records))
    )
    for found, value in zip(got.results, program.unpack_outputs(expected.output), strict=True):
        np.testing.assert_array_equal(found[0], value)
