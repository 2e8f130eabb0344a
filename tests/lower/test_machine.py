# SPDX-License-Identifier: Apache-2.0
"""Lowering to a machine that is there: what may be larger, what must be equal, and several models on one."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, RMS, TINY, Vit, images, integer_vit

from hlsgen.errors import DoesNotFit
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import LARGER, ArrayShape, joint
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare

BUILD_ID = 3769460380
"""That of `machine(False)`."""
MODELS = {"digits": DIGITS, "awkward": AWKWARD, "tiny": TINY}


def array(streamed: bool) -> ArrayShape:
    return ArrayShape(rows=3, columns=4, depth=2, ring_bytes=1, streamed=streamed)


def machine(streamed: bool) -> MachineParameters:
    """One for all models."""
    return joint([Sizer(integer_vit(model)).parameters(array(streamed)) for model in MODELS.values()])


def test_the_joint_machine_is_the_smallest_that_holds_all() -> None:
    sizes = [Sizer(integer_vit(model)).parameters(array(False)) for model in MODELS.values()]
    for name, value in dataclasses.asdict(joint(sizes)).items():
        assert value == max(getattr(size, name) for size in sizes), name


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_runs_on_a_larger_machine(model: Vit, streamed: bool) -> None:
    graph, parameters = integer_vit(model), machine(streamed)
    found = lower(graph, array(streamed), parameters)
    assert found.program.parameters == parameters
    assert lower(graph, array(streamed)).program.parameters != parameters or model == DIGITS
    picture = images(model, 1)[0]
    done = Interpreter(parameters, found.image.pack()).run(found.program.input.pack(picture, 4))
    golden = dict(evaluate(graph, picture))
    assert compare(found.program, done.records, golden) is None
    output = found.program.output.unpack(done.output, parameters)
    np.testing.assert_array_equal(output, golden[graph.output])


ABSENT = {
    "experts", "choices", "queue_tokens", "rms_norms", "products", "taps", "workspace_units", "score_addends",
    "operand_bases", "list_words", "windows", "addend_words", "score_slots", "key_list_words",
    "narrow_weights", "norm_shift_words", "activation_bits", "numerator_digits",
}  # fmt: skip
"""What this model does not need, or has as little of as a machine can have."""


@pytest.mark.parametrize("name", sorted(LARGER - ABSENT))
def test_a_memory_that_is_too_small_is_named(name: str) -> None:
    needed = lower(integer_vit(AWKWARD), array(False)).program.parameters
    value = getattr(needed, name)
    if value == 1:
        pytest.fail(f"{name} of this model can't be smaller: take another model")
    small = dataclasses.replace(needed, **{name: value - 1})
    text = f"the machine's {name} must be at least {value}, not {value - 1}"
    with pytest.raises(DoesNotFit, match=re.escape(text)):
        lower(integer_vit(AWKWARD), array(False), small)


def test_a_machine_for_rms_norms_executes_layer_norms_but_not_the_other_way_round() -> None:
    graph = integer_vit(RMS)
    needed = lower(graph, array(False)).program.parameters
    assert needed.rms_norms == 1
    layer = integer_vit(dataclasses.replace(RMS, norms="layer"))
    found = lower(layer, array(False), needed)
    assert not any(command.norm_rms for command in found.program.commands)
    picture = images(RMS, 1)[0]
    done = Interpreter(needed, found.image.pack()).run(found.program.input.pack(picture, 4))
    assert compare(found.program, done.records, dict(evaluate(layer, picture))) is None
    without = dataclasses.replace(needed, rms_norms=0)
    with pytest.raises(DoesNotFit, match="the machine's rms_norms must be at least 1, not 0"):
        lower(graph, array(False), without)


def test_a_machine_without_rms_norms_keeps_its_build_id() -> None:
    """Its hardware is the same as before there were any."""
    assert machine(False).build_id == BUILD_ID
    assert dataclasses.replace(machine(False), rms_norms=1).build_id != BUILD_ID


def test_all_that_a_machine_lacks_is_said_at_once() -> None:
    needed = lower(integer_vit(AWKWARD), array(False)).program.parameters
    other = dataclasses.replace(needed, rows=4, bus_bytes=8, tile_words=1, tile_slots=4, workspace_units=64)
    with pytest.raises(DoesNotFit) as error:
        lower(integer_vit(AWKWARD), array(False), other)
    assert [problem.what for problem in error.value.problems] == [
        "the machine's rows must be 3, not 4",
        "the machine's bus_bytes must be 16, not 8",
        f"the machine's tile_words must be at least {needed.tile_words}, not 1",
        "the machine's workspace_units must be 0 where keys and values stay inside",
    ]


def test_a_machine_without_a_workspace_has_no_place_for_streamed_keys() -> None:
    resident = machine(False)
    needed = lower(integer_vit(AWKWARD), array(True)).program.parameters.workspace_units
    with pytest.raises(DoesNotFit, match=f"workspace_units must be at least {needed}, not 0"):
        lower(integer_vit(AWKWARD), array(True), resident)
