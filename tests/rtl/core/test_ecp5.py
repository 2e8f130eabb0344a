# SPDX-License-Identifier: Apache-2.0
"""The core made for ECP5, with models of its cells: every word against the interpreter."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from support.core_bench import case
from support.graphs import TINY

import hlsgen.sim
from hlsgen.emit.rtl import verilog
from hlsgen.machine.format.fixed import fixed_machine
from hlsgen.machine.format.multipliers import TARGETS
from hlsgen.machine.run.trace import rebuild
from hlsgen.rtl.arith.multiplier import plan
from hlsgen.sim import cosim, icarus

MODELS = sorted(Path(hlsgen.sim.__file__).with_name("models").glob("*.v"))
TARGET = TARGETS["ecp5"]
REQUANTIZE_AND_ROW = 2 * 2 + 1
"""Blocks beyond the array's that a core of two columns needs for these two."""
LOGIC = {"normalise", "combine", "centre", "square", "interpolate"}


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(
    ("array", "spare", "soft"),
    [
        ((2, 2, 2), TARGET.blocks or 0, set()),
        ((1, 2, 4), REQUANTIZE_AND_ROW, LOGIC),
        ((2, 1, 2), TARGET.blocks or 0, set()),
    ],
    ids=["blocks", "blocks-and-logic", "one-column"],
)
def test_every_word_equals_the_interpreter(
    array: tuple[int, int, int], spare: int, soft: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered, pixels, expected = case(TINY, array)
    parameters = fixed_machine(lowered.program)
    blocks = parameters.lanes // min(2, parameters.columns)
    monkeypatch.setitem(TARGETS, "ecp5", dataclasses.replace(TARGET, blocks=blocks + spare))
    styles = vars(plan(parameters, "ecp5"))
    assert {name for name, style in styles.items() if style == "soft"} == soft
    text = verilog(parameters, "ecp5", trace=True)
    assert text.count("MULT18X18D ") >= blocks
    (run,) = icarus.run(
        parameters, lowered.image.pack(), [pixels], tmp_path, text=text + "".join(map(Path.read_text, MODELS))
    )
    cosim.check(lowered.program, run, rebuild(lowered.program, expected.records))
    assert run.output[: len(expected.output)] == expected.output
