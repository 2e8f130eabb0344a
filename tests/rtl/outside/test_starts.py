# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.stub_core import StubCore

from hlsgen.emit.rtl import convert
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.outside.starts import Starts
from hlsgen.rtl.outside.top import Top
from hlsgen.sim.runner import simulate


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(("shape", "tests"), [((2, 4, 8, 16), ()), ((1, 1, 1, 64), ("queued",))])
def test_many_images_around_a_stub_core(
    shape: tuple[int, int, int, int], tests: tuple[str, ...], tmp_path: Path
) -> None:
    rows, columns, depth, bus = shape
    parameters = MachineParameters(rows=rows, columns=columns, depth=depth, bus_bytes=bus)
    text = convert(Top(parameters, core_factory=lambda: StubCore(parameters)), "top")
    environ = {"STUB_SHAPE": ",".join(map(str, shape))}
    module = "support.bench_queue"
    passed = simulate(text, module, tmp_path, simulator="icarus", tests=tests, environ=environ)
    assert len(passed) == (len(tests) or 8)


def test_a_memory_of_starts_has_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="images must be 1, 2 or 2 more than a power of two, not 5"):
        Starts(5)
