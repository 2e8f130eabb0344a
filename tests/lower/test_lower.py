# SPDX-License-Identifier: Apache-2.0
"""Lowering: order, dependencies, streams, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, DISTILLED, integer_vit

from hlsgen.errors import UnsupportedModel, UsageError
from hlsgen.ir import GraphBuilder, Source
from hlsgen.lower import lower
from hlsgen.lower.constants import ConstantStream
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import COMMAND_BYTES, Command, Depends, Drain, Load, Target
from hlsgen.machine.format.constants import HEADER, Item, word_bytes
from hlsgen.machine.format.image import Image
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import IntegerMean, Patches
from hlsgen.ops.add import RESIDUAL_HIGH, RESIDUAL_LOW

ARRAY = ArrayShape(rows=4, columns=4, depth=8)


def test_queries_drain_last_before_their_attention() -> None:
    commands = lower(integer_vit(DIGITS), ARRAY).program.commands
    targets = [command.target for command in commands[1:5]]
    assert targets == [Target.KEYS, Target.VALUES, Target.FEATURES, Target.FEATURES]
    attention = commands[4]
    assert attention.drain is Drain.ATTENTION
    assert (attention.depends, attention.depends_on) == (Depends.TILE, 3)
    assert attention.operand_depends_on == 2


def test_only_the_last_command_is_marked_and_a_selected_token_waits_for_the_whole_command() -> None:
    commands = lower(integer_vit(DIGITS), ARRAY).program.commands
    assert [command.last for command in commands] == [0] * (len(commands) - 1) + [1]
    assert (commands[-1].row_count(ARRAY.rows), commands[-1].depends) == (1, Depends.COMMAND)
    assert commands[-1].load is Load.LAYER_NORM


def test_pooling_becomes_a_load_mode() -> None:
    commands = lower(integer_vit(AWKWARD), ARRAY).program.commands
    last = commands[-1]
    assert (last.load, last.pool_rows, last.row_count(ARRAY.rows)) == (Load.POOL_NORM, 9, 1)


def test_heads_are_added_up_in_the_residual_memory_and_the_last_one_leaves() -> None:
    program = lower(integer_vit(DISTILLED), ARRAY).program
    first, last = program.commands[-2:]
    assert (first.drain, first.target, first.last) == (Drain.REQUANTIZE, Target.RESIDUAL, 0)
    assert (last.drain, last.target, last.last) == (Drain.ADD, Target.OUTPUT, 1)
    assert (last.addend_base, last.target_stride) == (first.target_base, first.target_stride)
    assert (last.depends, last.depends_on) == (Depends.COMMAND, len(program.commands) - 2)
    assert program.output.tensor == "logits1"


def test_weights_stand_in_consumption_order() -> None:
    graph = integer_vit(DIGITS)
    weights = np.frombuffer(lower(graph, ARRAY).image.weights, np.int8).reshape(-1, 8, 4)
    embed = graph.node("embed").op.weight  # type: ignore[attr-defined]
    np.testing.assert_array_equal(weights[0, :4], embed[:4].T)  # block 0, step 0: K = 4, the rest is zero
    assert not weights[0, 4:].any()
    np.testing.assert_array_equal(weights[1, :4], embed[4:8].T)


def test_tables_alternate_between_banks_and_wait_for_their_last_user() -> None:
    stream = ConstantStream(columns=4)
    tables = [np.full(256, value) for value in (1, 2, 3)]
    banks = [
        stream.table(Item.ACTIVATION_TABLE, tables[i], user) for i, user in ((0, 4), (1, 9), (0, 12), (2, 15))
    ]
    assert banks == [0, 1, 0, 0]
    data, word = stream.pack(), word_bytes(4)
    headers = [HEADER.unpack_from(data, at) for at in range(0, len(data), word + 256)]
    assert headers == [(2, 0, 0, 256, 0xFFFF), (2, 1, 0, 256, 0xFFFF), (2, 0, 0, 256, 12)]


def test_two_lowerings_give_the_same_bytes() -> None:
    first, second = (lower(integer_vit(DIGITS), ARRAY) for _ in range(2))
    assert first.image.pack() == second.image.pack()
    assert str(first.program) == str(second.program)


def test_image_round_trips_and_refuses_damage() -> None:
    blob = lower(integer_vit(DIGITS), ARRAY).image.pack()
    assert Image.unpack(blob).pack() == blob
    with pytest.raises(UsageError, match=f"Image must have {len(blob)} bytes, not {len(blob) - 64}"):
        Image.unpack(blob[:-64])
    with pytest.raises(UsageError, match="must match its checksum: the file is damaged"):
        Image.unpack(blob[:-1] + b"\x55")
    with pytest.raises(UsageError, match="Image must begin with 0x47534c48"):
        Image.unpack(b"\0" * len(blob))


def test_a_foreign_image_is_refused_by_its_build_id() -> None:
    lowered = lower(integer_vit(DIGITS), ARRAY)
    other = dataclasses.replace(lowered.program.parameters, rows=5)
    with pytest.raises(UsageError, match="Image must have build id"):
        Interpreter(other, lowered.image.pack())


def test_commands_pack_and_read_as_text() -> None:
    for command in lower(integer_vit(AWKWARD), ARRAY).program.commands:
        assert len(command.pack()) == COMMAND_BYTES
        assert Command.unpack(command.pack()) == command
        assert Command.parse(str(command)) == command
    with pytest.raises(UsageError, match=r"command field sweeps must be in 0..65535, not 65536"):
        Command(sweeps=65536)


def test_what_no_command_executes_is_refused_with_its_place() -> None:
    graph = integer_vit(DIGITS)
    builder = GraphBuilder("image", graph.input_type)
    patches = builder.add("patches", Patches(patch=(2, 2)), ["image"])
    low, high = RESIDUAL_LOW, RESIDUAL_HIGH
    mean = builder.add(
        "pool", IntegerMean(shift=1, low=low, high=high), [patches], Source("pool", "model.py:7")
    )
    with pytest.raises(UnsupportedModel) as caught:
        lower(builder.finish(mean), ARRAY)
    (problem,) = caught.value.problems
    assert str(problem) == (
        "pool: IntegerMean read as an output can't be lowered\n"
        "  where: pool at model.py:7\n"
        "  why: it has 16 bits\n"
        "  fix: see docs/lowering.md for what an integer graph must be"
    )
