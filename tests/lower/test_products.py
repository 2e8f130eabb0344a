# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors, transposes, groups, constants: what the interpreter makes is the golden tensor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.lowered import interpreted
from support.token_graphs import KINDS, integers

from hlsgen.errors import DoesNotFit
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.lower import lower
from hlsgen.lower.interleave import ADDEND_DISTANCE
from hlsgen.lower.legalise.expand import MOST_ROWS, expand, part_rows
from hlsgen.lower.legalise.forms import forms
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Depends, Product, Target
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.time import latency
from hlsgen.ops import IntegerAdd, IntegerLinear, Patches, Transpose
from hlsgen.ops.constant import digits
from hlsgen.ops.norm import IntegerNorm

ARRAYS = ((2, 4, 4, 1), (4, 8, 2, 2), (3, 2, 8, 1), (4, 4, 4, 4), (2, 16, 4, 1), (1, 1, 1, 1))
"""Rows, columns, depth, row width: words longer than steps and shorter."""
SIZES = ((3, 12, 2), (1, 8, 1), (5, 16, 4), (17, 24, 3), (5, 136, 2))
"""Tokens, width, heads."""


def array(rows: int, columns: int, depth: int, row_width: int) -> ArrayShape:
    return ArrayShape(rows=rows, columns=columns, depth=depth, row_width=row_width, ring_bytes=1024)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tokens", "width", "heads"), SIZES)
def test_every_tensor_is_equal(kind: str, tokens: int, width: int, heads: int) -> None:
    graph, image = integers(kind, tokens, width, heads)
    golden = evaluate(graph, image)
    for shape in ARRAYS:
        lowered = lower(graph, array(*shape))
        program = lowered.program
        run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, shape[1]))
        assert trace.compare(program, run.records, golden) is None, shape
        (output,) = program.unpack_outputs(run.output)
        np.testing.assert_array_equal(output, golden[graph.output])


@pytest.mark.parametrize("kind", ["two_tasks", "talking_tasks"])
def test_commands_of_another_task_are_skipped(kind: str) -> None:
    graph, image = integers(kind, 5, 16, 2)
    for shape in ARRAYS:
        lowered = lower(graph, array(*shape))
        program = lowered.program
        assert program.parameters.planned
        assert program.parameters.products
        machine = Interpreter(program.parameters, lowered.image.pack())
        for task in range(graph.tasks):
            run = machine.run(program.input.pack(image, shape[1]), task=task)
            assert trace.compare(program, run.records, evaluate(graph, image, task), task) is None, shape


@pytest.mark.parametrize("between", [0, 1, 2])
def test_an_addend_that_drain_may_still_hold_is_waited_for(between: int) -> None:
    """DRAIN reads it a few cycles before its maker's last rows are written, if little lies between."""
    graph = GraphBuilder("image", TensorType((1, 2, 2), -128, 127, 1.0))
    patches = graph.add("patches", Patches(patch=(1, 1)), ["image"])

    def layer(name: str, *, wide: bool = True) -> str:
        low, high = (-32768, 32767) if wide else (-128, 127)
        op = IntegerLinear(
            weight=np.ones((2, 1)), bias=np.zeros(2), multiplier=np.full(2, 1 << 14), shift=np.full(2, 14),
            low=low, high=high, scale=1.0,
        )  # fmt: skip
        return graph.add(name, op, [patches])

    addend = layer("addend")
    others = [layer(f"other_{number}") for number in range(between)]
    total = graph.add("sum", IntegerAdd(), [addend, layer("last")])
    found = lower(graph.finish(total, *others, names=["sum", *others]), array(2, 2, 2, 1)).program
    makers = {view.tensor: view.command for view in found.views if view.which == DRAIN}
    command = found.commands[makers["sum"]]
    assert (command.depends, command.depends_on) == (Depends.COMMAND, makers["addend"])


def test_the_distance_is_longer_than_drain() -> None:
    for experts in (0, 4):
        for edge in (1, 16, 64):
            machine = MachineParameters(rows=edge, columns=edge, depth=edge, experts=experts)
            assert latency.drain_write(machine) + latency.MEMORY < ADDEND_DISTANCE


def test_a_product_is_added_to_itself() -> None:
    graph = GraphBuilder("image", TensorType((1, 2, 2), -128, 127, 1.0))
    patches = graph.add("patches", Patches(patch=(1, 1)), ["image"])
    op = IntegerLinear(
        weight=np.array([[3], [100]]), bias=np.zeros(2, np.int64), multiplier=np.full(2, 1 << 14),
        shift=np.full(2, 13), low=-32768, high=32767, scale=1.0,
    )  # fmt: skip
    rows = graph.add("rows", op, [patches])
    built = graph.finish(graph.add("double", IntegerAdd(), [rows, rows]))
    image = np.array([[[1, -128], [127, 5]]])
    lowered = lower(built, array(2, 2, 2, 1))
    program = lowered.program
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 2))
    (output,) = program.unpack_outputs(run.output)
    np.testing.assert_array_equal(output, evaluate(built, image)["double"])
    assert [node.name for node in forms(built)] == ["patches", "rows", "rows_again", "double"]


def test_a_constant_is_a_product_of_digits() -> None:
    """For all of int16, in rows of int8 and weights of -127..127."""
    every = np.arange(-(1 << 15), 1 << 15).reshape(4, -1)
    for value, parts in ((every, 4), (every[:, :3] * 0 + 60, 1), (every[:, :1] * 0, 1)):
        rows, layer = digits(value, 0.5)
        assert rows.value.shape == (4, 4 * parts)
        layer.infer(rows.infer(TensorType((1, 2, 2), -128, 127, 1.0)))
        np.testing.assert_array_equal(layer.golden(rows.value), value)


def test_a_norm_of_other_heads_than_its_reader_has_is_copied() -> None:
    graph, image = integers("norms_by_head", 3, 12, 2)
    built = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        parts = isinstance(node.op, IntegerNorm) and node.op.heads == 2
        op = dataclasses.replace(node.op, heads=3) if parts else node.op  # type: ignore[call-arg]
        built.add(node.name, op, node.inputs)
    interpreted(built.finish(*graph.outputs), image, array(2, 4, 4, 1))


def test_copies_and_transposes_do_no_useful_work() -> None:
    graph, _ = integers("mixer", 5, 16, 2)
    embedding, layers, head = 5 * 96 * 16, 2 * 16 * 5 * 7, 5 * 16 * 5
    assert lower(graph, array(2, 4, 4, 1)).program.macs == embedding + layers + head


def test_heads_that_talk_are_mixed_by_taps_and_nothing_is_copied() -> None:
    graph, _ = integers("talking_heads", 17, 24, 3)
    assert not [node.name for node in graph if node.name.endswith("_copy")]
    program = lower(graph, array(2, 4, 4, 1)).program
    walked = [command for command in program.commands if command.tap_steps]
    assert [command.product for command in walked] == [Product.MAPS, Product.WEIGHTS]
    assert [command.k_steps for command in walked] == [3, 4]  # a step of each map; of each head's context
    assert all(command.shared_values == 3 for command in walked if command.product is Product.MAPS)


def test_heads_that_share_keys_or_values_have_them_once() -> None:
    graph, _ = integers("grouped_queries", 5, 24, 2)
    program = lower(graph, array(2, 4, 4, 1)).program
    shared = [(c.product, c.shared, c.shared_values) for c in program.commands if c.shared or c.shared_values]
    assert shared == [(Product.ATTENTION, 1, 3), (Product.KEYS, 3, 0), (Product.VALUES, 1, 0)]
    # Keys of two heads, 12 elements of 5 tokens each, in words of 4; the values of one head.
    assert (program.parameters.key_words, program.parameters.value_words) == (2 * 2 * 3, 2 * 2 * 3)


def test_expanding_changes_no_integer() -> None:
    graph, image = integers("mixer", 5, 136, 2)
    before, after = evaluate(graph, image), evaluate(expand(graph), image)
    assert any(isinstance(node.op, Transpose) for node in graph)
    assert not any(isinstance(node.op, Transpose) for node in expand(graph))
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


@pytest.mark.parametrize(("width", "rows"), [(1, 1), (64, 64), (192, 64), (136, 8), (197, 197)])
def test_a_wide_tensor_is_transposed_in_parts(width: int, rows: int) -> None:
    assert part_rows(width) == rows
    assert width % part_rows(width) == 0


def test_a_prime_width_is_cut_to_single_rows_where_an_identity_would_be_too_large() -> None:
    assert part_rows(257) == 1
    assert part_rows(41 * 25) == 41 <= MOST_ROWS


def test_products_keep_keys_and_values_inside() -> None:
    """External memory holds those of softmax attention alone."""
    graph, _ = integers("linear_attention", 3, 12, 2)
    resident, streamed = (
        lower(graph, ArrayShape(rows=2, columns=4, depth=4, streamed=streamed, span=int(streamed)))
        for streamed in (False, True)
    )
    assert streamed.program.parameters == resident.program.parameters
    assert streamed.image.pack() == resident.image.pack()
    machine = dataclasses.replace(resident.program.parameters, products=0, workspace_units=4)
    with pytest.raises(DoesNotFit, match="workspace_units must be 0 where keys and values stay inside"):
        lower(graph, ArrayShape(rows=2, columns=4, depth=4), machine)


def test_what_a_command_multiplies_by_is_made_right_before_it() -> None:
    graph, _ = integers("linear_attention", 3, 12, 2)
    program = lower(graph, array(2, 4, 4, 1)).program
    assert program.parameters.products == 1
    for index, command in enumerate(program.commands):
        if command.product in (Product.KEYS, Product.VALUES):
            maker = program.commands[command.operand_depends_on]
            assert maker.target is (Target.KEYS if command.product is Product.KEYS else Target.VALUES)
            between = program.commands[command.operand_depends_on + 1 : index]
            assert all(other.target is not maker.target for other in between)


def test_a_machine_without_products_stays_as_it_was(plain: Graph) -> None:
    program = lower(plain, array(2, 4, 4, 1)).program
    assert program.parameters.products == 0
    assert not any(command.outer_target or command.shared for command in program.commands)


@pytest.fixture
def plain() -> Graph:
    from support.graphs import DIGITS, integer_vit

    return integer_vit(DIGITS)
