# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors, transposes, groups, constants: what the interpreter makes is the golden tensor."""

from __future__ import annotations

import numpy as np
import pytest
from support.token_graphs import KINDS, integers

from hlsgen.errors import DoesNotFit
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.expand import MOST_ROWS, expand, part_rows
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Product, Target
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import Transpose

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


def test_products_need_keys_and_values_inside() -> None:
    graph, _ = integers("linear_attention", 3, 12, 2)
    with pytest.raises(DoesNotFit, match="keys and values must stay inside") as caught:
        lower(graph, ArrayShape(rows=2, columns=4, depth=4, streamed=True))
    assert caught.value.problems[0].fix == "compile with --attention resident"


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
