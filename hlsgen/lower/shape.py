# SPDX-License-Identifier: Apache-2.0
"""Sizes of a command of one product on an array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph
from hlsgen.lower.image import patch_layout
from hlsgen.lower.layout import Layout
from hlsgen.lower.refuse import must_be
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import Factors, LinearStep
from hlsgen.lower.taps import Walk, find_walk
from hlsgen.machine.format.commands import Command, Load, Product, Target, ring_words_of
from hlsgen.machine.format.narrow import NARROW_BITS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.ops import IntegerLinear


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Words and steps of a block's operand row, and all column blocks.

    parts: sweeps that the command must have, 1: any number; each reads its own words of a row, `outer` words
    behind those of the one before. weighted: the blocks take weights.
    """

    k_words: int
    k_steps: int
    blocks: int
    weighted: bool = True
    parts: int = 1
    outer: int = 0
    walk: Walk | None = None
    """The parts of a row that blocks read; None: all of it. Such a command has one sweep."""
    narrow: bool = False
    """The weights have 4 bits."""

    @property
    def ring_words(self) -> int:
        """Ring words of a block's weights."""
        return ring_words_of(self.k_steps, self.narrow)


def linear_shape(step: LinearStep, array: ArrayShape, source: Layout, result: Layout) -> Shape:
    """The sizes of a step."""
    columns, depth, factors = array.columns, array.depth, step.factors
    if factors is not None:
        words, steps = _factor_row(factors, source, columns, depth)
        return Shape(
            k_words=words, k_steps=steps, blocks=result.words * (factors.heads if step.stacked else 1),
            weighted=False, parts=factors.heads, outer=source.head_words if factors.left_heads > 1 else 0,
        )  # fmt: skip
    elements = source.elements
    parts, outer = 1, 0
    if step.groups > 1:
        elements, parts, outer = source.head_size, step.groups, source.head_words
    elif count := diagonal_parts(step, array, source, result):
        elements, parts, outer = max(columns, depth), count, result.words // count
    words, steps = ceil_div(elements, columns), ceil_div(elements, depth)
    walk = None if parts > 1 else linear_walk(step, array, source, result)
    if walk:
        steps = walk.steps
    # A ring word holds two steps: weights of a single step would gain nothing.
    narrow = steps > 1 and getattr(step.linear.op, "weight_bits", 8) <= NARROW_BITS
    return Shape(
        k_words=words, k_steps=steps, blocks=result.words, parts=parts, outer=outer, walk=walk, narrow=narrow
    )


def linear_walk(step: LinearStep, array: ArrayShape, source: Layout, result: Layout) -> Walk | None:
    """The walk of a layer most of whose weights are zero; None: it has none, or one that gains little.

    A block takes as many cycles as DRAIN takes for its results, however few steps it has. A machine that
    streams keys and values has no walks.
    """
    op = step.linear.op
    if (
        not isinstance(op, IntegerLinear)
        or step.expert
        or step.route
        or array.streamed
        or not step.rows.region
    ):
        return None
    if 2 * np.count_nonzero(op.weight) > op.weight.size:
        return None
    steps, groups = ceil_div(source.elements, array.depth), ceil_div(array.rows, array.row_width)
    walk = find_walk(steps_in_use(op.weight, source, result, steps, array))
    return walk if walk and max(steps, groups) > 2 * max(walk.steps, groups) else None


def steps_in_use(
    weight: np.ndarray, source: Layout, result: Layout, steps: int, array: ArrayShape
) -> np.ndarray:
    """Which steps of a row [blocks, steps] a block has a weight for that is not zero."""
    outputs, inputs = np.nonzero(weight)
    used = np.zeros((result.words, steps), bool)
    block, step = result.positions() // array.columns, source.positions() // array.depth
    used[block[outputs], step[inputs]] = True
    return used


def mixed_shape(source: Layout, array: ArrayShape) -> Shape:
    """The sizes of a head of scores that are mixed from maps, which lie in `source` side by side."""
    columns, steps = array.columns, ceil_div(source.elements, array.depth)
    maps = source.positions().reshape(-1, source.head_size)
    used = np.zeros((ceil_div(source.head_size, columns), steps), bool)
    for each in maps:
        used[np.arange(source.head_size) // columns, each // array.depth] = True
    walk = find_walk(used)
    k_steps = walk.steps if walk else steps
    return Shape(k_words=source.words, k_steps=k_steps, blocks=len(used), walk=walk)


def is_diagonal(weight: np.ndarray) -> bool:
    """Whether a square weight [N, N], N > 1, has nothing beside its diagonal, as a copy's."""
    rows, columns = weight.shape
    return 1 < rows == columns and np.count_nonzero(weight) == np.count_nonzero(weight.diagonal())


def diagonal_parts(step: LinearStep, array: ArrayShape, source: Layout, result: Layout) -> int:
    """Parts of a row that a diagonal weight, as a copy's, is multiplied by one by one; 0: none, or no gain.

    A part takes as many cycles as DRAIN takes for its results; the whole row takes a step for all elements.
    """
    op, part = step.linear.op, max(array.columns, array.depth)
    match op:
        case IntegerLinear(weight=weight) if not step.expert and step.rows.load is Load.ROWS:
            steps, groups = part // array.depth, ceil_div(array.rows, array.row_width)
            gains = ceil_div(source.words * array.columns, array.depth) > 2 * max(steps, groups)
            moves = array.streamed and step.target in (Target.KEYS, Target.VALUES)
            fits = weight.shape[0] == weight.shape[1] and source.words == result.words
            if not (gains and fits) or moves or step.route or result.words * array.columns % part:
                return 0
            if step.rows.gather and step.rows.places.shape[1] > 1:
                return 0
            same = np.array_equal(source.positions(), result.positions())
            return result.words * array.columns // part if same and is_diagonal(weight) else 0
        case _:
            return 0


def source_layout(step: LinearStep, graph: Graph, layouts: Mapping[str, Layout], array: ArrayShape) -> Layout:
    """The layout of a step's operand rows."""
    columns = array.columns
    if not step.rows.region:
        return Layout(1, columns)
    if step.rows.load is Load.PATCHES:
        return patch_layout(graph, array)
    parts = step.factors.left_heads if step.factors else step.groups
    placed = layouts.get(step.rows.region)
    if placed and parts > 1 and (placed.heads != parts or step.rows.pool):
        raise must_be(step.linear, f"a reader of one tensor that lies in {parts} parts")
    if step.groups > 1 and step.rows.operand:
        return Layout.split(graph.type_of(step.linear.inputs[0]).shape[-1], columns, step.groups)
    if step.rows.gather and step.rows.norm:
        check_joined(step, layouts[step.rows.region])
    elif step.rows.gather and placed:
        return placed.joined(step.rows.places.shape[1])
    if step.rows.operand or step.rows.pool:
        return Layout(graph.type_of(step.linear.inputs[0]).shape[-1], columns)
    if step.rows.region not in layouts:
        problem = Problem(
            f"{step.linear.name}: its input must be made by a command, not be {step.rows.tensor}",
            where=str(step.linear.source),
            fix="start the model with a patch embedding (a convolution whose stride is its kernel)",
        )
        raise UnsupportedModel(problem, code=Code.LOWERING)
    return layouts[step.rows.region]


def check_joined(step: LinearStep, layout: Layout) -> None:
    """A norm reads rows side by side as one: each must fill its words."""
    if step.rows.places.shape[1] > 1 and (layout.heads or layout.size % layout.columns):
        problem = Problem(
            f"{step.linear.name}: rows of {layout.size} elements, which are joined and normalised, must fill "
            f"whole words of {layout.columns}",
            where=str(step.linear.source),
            fix="compile with fewer columns",
        )
        raise UnsupportedModel(problem, code=Code.LOWERING)


def _factor_row(factors: Factors, source: Layout, columns: int, depth: int) -> tuple[int, int]:
    """Words of an operand row, and steps of a block, of a product of two tensors.

    A key has the words of a row, and its padding is zero. Values beyond the last one are anything, so there
    are no more steps than those with one; the row's padding is zero.
    """
    if factors.keys:
        return source.head_words, source.head_words * columns // depth
    steps = ceil_div(source.head_size, depth)
    return ceil_div(steps * depth, columns), steps


def drained(command: Command, p: MachineParameters) -> int:
    """Cycles in which DRAIN takes the command's results."""
    blocks = command.total_blocks
    if command.product in (Product.ATTENTION, Product.MAPS):
        blocks = command.heads * (command.blocks + command.head_words)
    return blocks * ((command.tiles - 1) * p.row_groups(p.rows) + p.row_groups(command.tail_rows))
