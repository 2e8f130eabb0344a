# SPDX-License-Identifier: Apache-2.0
"""Every DRAIN mode alone: the words it writes against the interpreter, at full speed and stalled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.core_bench import core_bench
from support.script import DEEP, WIDE, Script, equal

from hlsgen.machine.format.commands import Command, Drain, Target
from hlsgen.machine.format.interface import DRAIN, PLAIN
from hlsgen.machine.format.parameters import MachineParameters

RUNS = [(WIDE, 0.0), (DEEP, 0.4)]
ROWS = 7


def _operands(script: Script) -> dict[str, int]:
    """Random feature rows of three words; where they lie."""
    script.add_stream(ROWS, 3, 128, target_base=2, target_stride=3)
    return {"source": 2, "source_stride": 3}


def _linear(script: Script, place: dict[str, int], **fields: Any) -> Command:
    """Three words by two groups, of three and of two blocks."""
    blocks: dict[str, Any] = {"sweeps": 2, "blocks": 2, "extra": 1, "target_base": 60, "target_stride": 6}
    return script.linear(ROWS, 3 * script.parameters.columns, **blocks | place | fields)


def requantize(script: Script) -> Command:
    return _linear(script, _operands(script))


def requantize_to_residual(script: Script) -> Command:
    limits = {"low": -32768, "high": 32767, "spread": 9000}
    return _linear(script, _operands(script), target=Target.RESIDUAL, **limits)


def requantize_between_limits(script: Script) -> Command:
    return _linear(script, _operands(script), low=-3, high=40)


def activation(script: Script) -> Command:
    """Two tables in two banks, then a third one as soon as the first is free."""
    place = _operands(script)
    for _ in range(2):
        bank = script.activation_table()
        _linear(script, place, drain=Drain.ACTIVATION, activation_bank=bank)
    bank = script.activation_table()
    return _linear(script, place, drain=Drain.ACTIVATION, activation_bank=bank)


def add_residual(script: Script) -> Command:
    """The addend lies elsewhere than the result, and some sums saturate."""
    place = _operands(script)
    script.add_stream(ROWS, 6, 30000, target=Target.RESIDUAL, target_base=9, target_stride=6)
    fields = {"addend_base": 9, "low": -32768, "high": 32767, "spread": 9000}
    return _linear(script, place, drain=Drain.ADD, target=Target.RESIDUAL, **fields)


def add_stream(script: Script) -> Command:
    place = _operands(script) | {"target_base": 60, "target_stride": 6}
    fields = {"elements": 3 * script.parameters.columns, "low": -32768, "high": 32767, "spread": 9000}
    return script.add_stream(ROWS, 5, 30000, target=Target.RESIDUAL, **place, **fields)


def output(script: Script) -> Command:
    limits = {"low": -32768, "high": 32767, "spread": 9000}
    return _linear(script, _operands(script), target=Target.OUTPUT, **limits)


def scores_and_contexts(script: Script) -> Command:
    return script.attention(5, 7, 2, max(script.parameters.depth, script.parameters.columns))


def scores_of_whole_blocks(script: Script) -> Command:
    return script.attention(3, 8, 1, max(script.parameters.depth, script.parameters.columns))


MODES = [
    requantize, requantize_to_residual, requantize_between_limits, activation, add_residual, add_stream,
    output, scores_and_contexts, scores_of_whole_blocks,
]  # fmt: skip


def wide_activation(script: Script) -> Command:
    """Tables of 10 bits and of 8, which lies in the middle of a bank's memory."""
    place, spread = _operands(script), {"low": -512, "high": 511, "spread": 200}
    for bits, limits in ((10, spread), (8, {})):
        bank = script.activation_table(bits)
        _linear(script, place, drain=Drain.ACTIVATION, activation_bank=bank, **limits)
    bank = script.activation_table(10)
    return _linear(script, place, drain=Drain.ACTIVATION, activation_bank=bank, **spread)


@pytest.mark.parametrize(("parameters", "stall"), RUNS, ids=["full-speed", "stalled"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_written_words(
    mode: Callable[[Script], Command], parameters: MachineParameters, stall: float
) -> None:
    script = Script(parameters)
    index = script.commands.index(mode(script))
    image, expected = script.finish()
    run = core_bench(parameters).run(image, script.pixels, stall=stall)
    assert equal(script, run.records, expected.records)
    assert run.output == expected.output[: len(run.output)]
    words = run.records[(run.records["which"] == DRAIN) & (run.records["command"] == index)]
    assert len(np.unique(words["data"])) > 8
    block = np.stack([words[name].astype(int) for name in ("kind", "head", "word")])
    tile = words["row"].astype(int) // parameters.rows
    inside = (np.diff(block, axis=1) == 0).all(0) & (np.diff(tile) == 0)
    assert np.all(np.diff(words["cycle"].astype(int))[inside] == 1)  # DRAIN never stalls within a block
    assert inside.any()
    if mode is not scores_and_contexts and mode is not scores_of_whole_blocks:
        assert set(words["kind"].tolist()) == {PLAIN}


def test_words_of_wide_tables() -> None:
    test_written_words(wide_activation, dataclasses.replace(WIDE, activation_bits=10), 0.0)
