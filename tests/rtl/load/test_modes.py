# SPDX-License-Identifier: Apache-2.0
"""Every LOAD mode alone: the operand words it makes against the interpreter, at full speed and stalled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from support.core_bench import core_bench
from support.script import DEEP, WIDE, Script, equal

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Depends, Load, Target
from hlsgen.machine.format.interface import CONTEXT, TILE
from hlsgen.machine.format.parameters import MachineParameters

RUNS = [(DEEP, 0.0), (WIDE, 0.4)]


def _residual(script: Script, rows: int, elements: int) -> dict[str, int]:
    """Where random residual rows lie: with a gap between them, zero beyond their ends as in every program."""
    stride = script.words(elements) + 1
    place = {"target_base": 5, "target_stride": stride}
    script.add_stream(rows, stride, 9000, real=elements, target=Target.RESIDUAL, **place)
    return {"source": 5, "source_stride": stride}


def _norm(script: Script, elements: int) -> dict[str, int]:
    gain, shift = numerics.dyadic(31.7)
    epsilon = int(script.random.integers(0, 5000))
    return {"norm_width": elements, "norm_epsilon": epsilon, "norm_gain": gain, "norm_gain_shift": shift}


def rows(script: Script) -> Command:
    script.add_stream(7, 5, 128, target_base=2, target_stride=5)
    return script.linear(7, 2 * script.parameters.columns + 1, source=3, source_stride=5)


def one_word_rows(script: Script) -> Command:
    script.add_stream(1, 1, 128)
    return script.linear(1, 1, source=0, source_stride=1)


def layer_norm(script: Script) -> Command:
    elements = 3 * script.parameters.columns - 1
    place = _residual(script, 7, elements)
    return script.linear(7, elements, load=Load.LAYER_NORM, **place, **_norm(script, elements))


def narrow_layer_norm(script: Script) -> Command:
    """Rows shorter than the time between two of them."""
    place = _residual(script, 4, 2)
    return script.linear(4, 2, load=Load.LAYER_NORM, **place, **_norm(script, 2))


def pool(script: Script) -> Command:
    elements = 2 * script.parameters.columns
    place = _residual(script, 5, elements)
    return script.linear(1, elements, load=Load.POOL, pool_rows=5, pool_shift=8, **place)


def pool_that_saturates(script: Script) -> Command:
    elements = script.parameters.columns
    place = _residual(script, 2, elements)
    return script.linear(1, elements, load=Load.POOL, pool_rows=2, pool_shift=0, **place)


def pool_norm(script: Script) -> Command:
    elements = 2 * script.parameters.columns - 1
    place = _residual(script, 5, elements)
    fields = {"pool_rows": 5, "pool_shift": 3, **place, **_norm(script, elements)}
    return script.linear(1, elements, load=Load.POOL_NORM, **fields)


def _patches(script: Script, height: int, width: int, channels: int, prefix: int) -> Command:
    """Two bands of three patches."""
    elements = channels * height * width
    fields = {"patch_height": height, "patch_width": width, "patch_channels": channels}
    fields |= {"patch_columns": 3, "patch_prefix": prefix, "row_words": script.words(3 * width)}
    return script.linear(prefix + 6, elements, load=Load.PATCHES, **fields)


def patches_odd(script: Script) -> Command:
    return _patches(script, 2, 3, 1, 1)


def patches_even(script: Script) -> Command:
    return _patches(script, 1, 2, 3, 0)


def patches_whole_words(script: Script) -> Command:
    return _patches(script, 2, 4, 1, 2)


def exp(script: Script) -> Command:
    return script.attention(5, 7, 2, max(script.parameters.depth, script.parameters.columns))


def exp_of_one_key(script: Script) -> Command:
    """255 and the zeros beyond."""
    return script.attention(1, 1, 1, max(script.parameters.depth, script.parameters.columns))


MODES = [
    rows, one_word_rows, layer_norm, narrow_layer_norm, pool, pool_that_saturates, pool_norm, patches_odd,
    patches_even, patches_whole_words, exp, exp_of_one_key,
]  # fmt: skip


def rms_norm(script: Script) -> Command:
    elements = 3 * script.parameters.columns - 1
    place = _residual(script, 7, elements)
    return script.linear(7, elements, load=Load.LAYER_NORM, norm_rms=1, **place, **_norm(script, elements))


def pool_rms_norm(script: Script) -> Command:
    elements = 2 * script.parameters.columns - 1
    place = _residual(script, 5, elements)
    fields = {"pool_rows": 5, "pool_shift": 3, "norm_rms": 1, **place, **_norm(script, elements)}
    return script.linear(1, elements, load=Load.POOL_NORM, **fields)


def rms_norm_between_layer_norms(script: Script) -> Command:
    """They differ in nothing but the mean; only the first one waits for what it reads."""
    elements = 2 * script.parameters.columns - 1
    place, norm = _residual(script, 7, elements), _norm(script, elements)
    fields = {"load": Load.LAYER_NORM, **place, **norm}
    script.linear(7, elements, **fields)
    fields["depends"] = Depends.NONE
    command = script.linear(7, elements, norm_rms=1, **fields)
    script.linear(7, elements, **fields)
    return command


@pytest.mark.parametrize(("parameters", "stall"), RUNS, ids=["full-speed", "stalled"])
@pytest.mark.parametrize(
    "mode", [rms_norm, pool_rms_norm, rms_norm_between_layer_norms], ids=lambda mode: mode.__name__
)
def test_operand_words_of_a_machine_with_rms_norms(
    mode: Callable[[Script], Command], parameters: MachineParameters, stall: float
) -> None:
    test_operand_words(mode, dataclasses.replace(parameters, rms_norms=1), stall)


def norms_with_shifts(script: Script) -> Command:
    """Two norms that differ in nothing but the shifts; a third one has none."""
    elements = 2 * script.parameters.columns - 1
    place, norm = _residual(script, 7, elements), _norm(script, elements)
    script.norm_shifts()
    fields = {"load": Load.LAYER_NORM, **place, **norm}
    script.linear(7, elements, norm_shift_base=1, **fields)
    fields["depends"] = Depends.NONE
    command = script.linear(7, elements, norm_shift_base=2, **fields)
    script.linear(7, elements, **fields)
    return command


def pool_norm_with_shifts(script: Script) -> Command:
    elements = 2 * script.parameters.columns - 1
    place = _residual(script, 5, elements)
    script.norm_shifts()
    fields = {"pool_rows": 5, "pool_shift": 3, "norm_shift_base": 2, **place, **_norm(script, elements)}
    return script.linear(1, elements, load=Load.POOL_NORM, **fields)


@pytest.mark.parametrize("parts", [0, 2])
@pytest.mark.parametrize("mode", [norms_with_shifts, pool_norm_with_shifts], ids=lambda mode: mode.__name__)
def test_operand_words_of_a_machine_with_norm_shifts(mode: Callable[[Script], Command], parts: int) -> None:
    machine = dataclasses.replace(WIDE, norm_shift_words=2, norm_parts=parts)
    test_operand_words(mode, machine, 0.2 * parts)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    "mode",
    [layer_norm, narrow_layer_norm, pool, pool_that_saturates, pool_norm, rms_norm_between_layer_norms],
    ids=lambda mode: mode.__name__,
)
def test_operand_words_normalised_in_parts(mode: Callable[[Script], Command], stall: float) -> None:
    test_operand_words(mode, dataclasses.replace(WIDE, norm_parts=2, rms_norms=1), stall)


@pytest.mark.parametrize(("parameters", "stall"), RUNS, ids=["full-speed", "stalled"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_operand_words(
    mode: Callable[[Script], Command], parameters: MachineParameters, stall: float
) -> None:
    script = Script(parameters)
    command = mode(script)
    index = script.commands.index(command)
    image, expected = script.finish()
    run = core_bench(parameters).run(image, script.pixels, stall=stall)
    assert equal(script, run.records, expected.records)
    words = run.records[(run.records["which"] == TILE) & (run.records["command"] == index)]
    kind = CONTEXT if command.load is Load.ATTENTION else 0
    assert len(np.unique(words[words["kind"] == kind]["data"])) > 1
    if mode is rows and not stall:  # tiles follow one another without a gap, as far as there are slots
        ahead = words[words["row"] < parameters.rows * parameters.tile_slots]
        assert np.all(np.diff(ahead["cycle"].astype(int)) == 1)
