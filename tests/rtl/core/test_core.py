# SPDX-License-Identifier: Apache-2.0
"""The core alone: whole models, every word it writes against the interpreter, streams stalled or not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.core_bench import CoreRun, case, core_bench
from support.graphs import AWKWARD, TINY, Vit

from hlsgen.machine.format.input import pad
from hlsgen.machine.format.interface import DRAIN, TILE
from hlsgen.machine.format.program import Program
from hlsgen.machine.run.interpreter import Execution
from hlsgen.machine.run.trace import compare, rebuild

SMALL = dataclasses.replace(AWKWARD, blocks=1, logit_bits=8)
TOKENS = Vit(image=(1, 6, 6), width=16, heads=2, blocks=1, hidden=20, classes=5, seed=5)


def _name(value: object) -> str:
    if isinstance(value, Vit):
        return f"width{value.width}"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check(program: Program, run: CoreRun, expected: Execution) -> None:
    """Every tensor, every record's place and order within its stage, and the output."""
    assert compare(program, run.records, rebuild(program, expected.records)) is None
    for which in (TILE, DRAIN):
        got, want = (records[records["which"] == which] for records in (run.records, expected.records))
        for name in ("command", "kind", "head", "word") if which == DRAIN else ("command", "kind", "head"):
            assert sorted(got[name].tolist()) == sorted(want[name].tolist())
    assert pad(run.output) == expected.output


@pytest.mark.parametrize(
    ("vit", "array", "stall"),
    [
        (TINY, (1, 1, 1), 0.0),
        (TINY, (2, 2, 8), 0.4),
        (SMALL, (3, 4, 2), 0.0),
        (SMALL, (3, 4, 2), 0.3),
        (TOKENS, (2, 2, 8), 0.2),
        (TOKENS, (4, 4, 8), 0.0),
        (TOKENS, (1, 8, 4), 0.2),
    ],
    ids=_name,
)
def test_every_word_equals_the_interpreter(vit: Vit, array: tuple[int, int, int], stall: float) -> None:
    lowered, pixels, expected = case(vit, array)
    run = core_bench(lowered.program.parameters).run(lowered.image, pixels, stall=stall)
    check(lowered.program, run, expected)
    assert sum(run.counters.values()) == run.cycles
    assert np.all(np.diff(run.records["cycle"].astype(np.int64)) >= 0)
