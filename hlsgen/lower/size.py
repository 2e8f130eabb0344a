# SPDX-License-Identifier: Apache-2.0
"""Machine parameters from a model's steps: array and bus are the user's choice, memories are derived."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph
from hlsgen.lower.layout import Layout
from hlsgen.lower.step import AttentionStep, LinearStep, Step
from hlsgen.machine.format.commands import Target
from hlsgen.machine.format.key_runs import key_unit
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters, ceil_div, is_power_of_two
from hlsgen.ops import IntegerRMSNorm, IntegerTable

LARGER = frozenset(
    {
        "tile_words", "residual_words", "feature_words", "image_words", "key_words", "value_words",
        "score_words", "ring_words", "constant_words", "accumulator_bits", "experts", "choices",
        "queue_tokens", "workspace_units", "logit_bits", "rms_norms", "products", "taps",
        "score_addends", "operand_bases", "list_words", "windows", "addend_words", "score_slots",
        "key_list_words",
        "narrow_weights",
        "norm_shift_words",
        "activation_bits",
        "numerator_digits",
    }
)  # fmt: skip
"""Parameters that may be larger than a model needs; those of a model with logits have just its bits."""


@dataclass(frozen=True, kw_only=True)
class ArrayShape:
    """The user's choice: array, bus, the ring's budget in bytes, rows that LOAD and DRAIN move at once.

    streamed: keys and values lie in external memory. span: query tiles for which a head's keys and values are
    read once; 0 for all of them. norm_parts: cycles that LOAD takes to normalise a word; 0 means 1.
    """

    rows: int
    columns: int
    depth: int
    bus_bytes: int = 16
    ring_bytes: int = 256 * 1024
    row_width: int = 1
    streamed: bool = False
    span: int = 0
    norm_parts: int = 0

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} must be {rule}, not {shown(value)}")
            for name, value, legal, rule in (
                ("ring_bytes", self.ring_bytes, self.ring_bytes >= 1, "positive"),
                ("row_width", self.row_width, is_power_of_two(self.row_width), "a power of two"),
                ("span", self.span, self.span >= 0, "0 or more"),
            )
            if not legal
        ]
        try:
            MachineParameters(
                rows=self.rows, columns=self.columns, depth=self.depth, bus_bytes=self.bus_bytes
            )
        except UsageError as error:
            problems = [*error.problems, *problems]
        if problems:
            raise UsageError(problems, code=Code.MACHINE)

    def parameters(self, **memories: int) -> MachineParameters:
        return MachineParameters(
            rows=self.rows,
            columns=self.columns,
            depth=self.depth,
            bus_bytes=self.bus_bytes,
            row_width=self.row_width,
            norm_parts=self.norm_parts,
            **memories,
        )


def joint(machines: Sequence[MachineParameters]) -> MachineParameters:
    """The smallest machine that holds what each of the machines of one array does."""
    largest = {name: max(getattr(machine, name) for machine in machines) for name in LARGER}
    return dataclasses.replace(machines[0], **largest)


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """Column blocks cut evenly into sweeps: the first `extra` of `count` have `blocks` + 1."""

    count: int
    blocks: int
    extra: int


def cut(total: int, each: int, ring_words: int) -> Sweeps:
    """The fewest equal sweeps such that the ring holds two: one in use, the next one arriving.

    A block takes `each` ring words.
    """
    most = max(1, ring_words // (2 * each))
    count = ceil_div(total, most)
    return Sweeps(count=count, blocks=total // count, extra=total % count)


def ring_words(
    array: ArrayShape, commands: list[tuple[int, int]], whole: list[tuple[int, int]] | None = None
) -> int:
    """Ring depth: two whole commands if the budget allows, at least two blocks of every command.

    commands: the blocks of each, and ring words of a block. Two sweeps of `whole`, which can't be cut, have
    room as well.
    """
    word = array.columns * array.depth
    wanted = max([2 * blocks * words for blocks, words in commands] or [2])
    needed = max([2 * words for _, words in commands] or [2])
    needed = max([needed, *(2 * blocks * words for blocks, words in whole or [])])
    return max(needed, min(wanted, array.ring_bytes // word))


def step_needs(
    steps: list[Step], graph: Graph, array: ArrayShape, layouts: Mapping[str, Layout], *, walks: bool
) -> dict[str, int]:
    """Parameters that follow from what the steps do: of experts, of products, of patches, of norms.

    walks: blocks of a layer read parts of a row.
    """
    attention = attention_memories(steps, array, layouts)
    products = product_memories(steps, graph, array, layouts)
    taps = int(walks or any(isinstance(step, AttentionStep) and not step.keys for step in steps))
    shares = any(isinstance(step, AttentionStep) and any(step.shared) for step in steps)
    products["products"] = max(products["products"], taps, int(shares))
    return {
        "taps": taps,
        "score_addends": int(
            any(isinstance(step, AttentionStep) and step.addends is not None for step in steps)
        ),
        "activation_bits": max([table.bits for table in _tables(steps)], default=8),
        "rms_norms": int(any(isinstance(node.op, IntegerRMSNorm) for node in graph)),
        **expert_memories(steps),
        **attention,
        **{name: max(value, attention.get(name, 0)) for name, value in products.items()},
    }


def _tables(steps: list[Step]) -> Iterator[IntegerTable]:
    """The tables of activations."""
    for step in steps:
        nodes = (step.table, step.experts_table) if isinstance(step, LinearStep) else ()
        for node in nodes:
            if node is not None and isinstance(node.op, IntegerTable):
                yield node.op


def product_memories(
    steps: list[Step], graph: Graph, array: ArrayShape, layouts: Mapping[str, Layout]
) -> dict[str, int]:
    """Key and value memory depths for products of two tensors, and whether there are any.

    Blocks of a result's padding read what lies behind a head's keys.
    """
    needs = {"key_words": 1, "value_words": 1, "products": 0}
    for step in steps:
        if not isinstance(step, LinearStep) or step.factors is None:
            continue
        factors = step.factors
        words, rows = layouts[factors.tensor].head_words, graph.type_of(factors.tensor).shape[0]
        if factors.keys:
            result = layouts[step.region]
            blocks = result.words if step.stacked or not result.heads else result.head_words
            kept = (factors.parts - 1) * ceil_div(rows, array.columns) * words + blocks * words
            needs["key_words"] = max(needs["key_words"], kept)
        else:
            kept = factors.parts * ceil_div(rows, array.depth) * words
            needs["value_words"] = max(needs["value_words"], kept)
        needs["products"] = 1
    return needs


def attention_memories(steps: list[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> dict[str, int]:
    """Key, value and score memory depths, the logits' width, and external memory for keys and values.

    Streamed attention keeps two heads in the machine: one in use, the next one arriving.
    """
    keys = values = scores = digits = 1
    units = 0
    bits = 8
    for step in steps:
        if isinstance(step, AttentionStep):
            heads, _, count = step.scores.type.shape
            words = layouts[step.keys].head_words if step.keys else 0
            value_words = layouts[step.values].head_words
            kept = [2 if array.streamed else heads // (shared + 1) for shared in step.shared]
            keys = max(keys, _kept(kept[0], step, array, array.columns) * words)
            # A digit's steps fill whole words: e is 0 there, but values are read.
            beyond = exp_steps(1, array, step.digits) - 1
            lasting = _kept(kept[1], step, array, array.depth)
            values, digits = max(values, (lasting + beyond) * value_words), max(digits, step.digits)
            if array.streamed:
                units = max(units, heads * head_units(array, count, words))
            scores = max(scores, ceil_div(read_keys(step, array), array.columns))
            bits = max(bits, step.scores.type.bits)
        elif step.target is Target.QUEUES:
            bits = max(bits, step.linear.type.bits)
    return {
        "key_words": keys,
        "value_words": values,
        "score_words": scores,
        "logit_bits": bits,
        "workspace_units": units,
        "numerator_digits": digits,
    }


def read_keys(step: AttentionStep, array: ArrayShape) -> int:
    """The most keys that a tile reads; by key lists these are whole units."""
    count = step.windows or step.scores.type.shape[2]
    return ceil_div(count, key_unit(array)) * key_unit(array) if step.lists else count


def _kept(heads: int, step: AttentionStep, array: ArrayShape, lanes: int) -> int:
    """Words of a lane of keys, or values, of so many heads, of one element each; the last unit is whole."""
    each = operand_words(step.scores.type.shape[2], lanes, step.windows)
    return heads * each + (ceil_div(read_keys(step, array), lanes) - each if step.lists else 0)


def expert_memories(steps: list[Step]) -> dict[str, int]:
    """Most experts and choices, and the queues' length; the logits' width for the gate table."""
    routers = [step for step in steps if isinstance(step, LinearStep) and step.target is Target.QUEUES]
    choices = [step.route.type.shape[-1] // 2 for step in routers if step.route]
    return {
        "experts": max([step.linear.type.shape[-1] for step in routers] or [0]),
        "choices": max(choices or [0]),
        "queue_tokens": max([step.linear.type.shape[0] for step in routers] or [0]),
    }


def operand_words(rows: int, lanes: int, window: int) -> int:
    """Words of a lane that rows take, of one element each, with windows of so many rows; 0: without."""
    return rows // window * ceil_div(window, lanes) if window else ceil_div(rows, lanes)


def exp_steps(keys: int, array: ArrayShape | MachineParameters, digits: int) -> int:
    """Steps of a block of contexts for a digit of exp; where there are two, each has whole words."""
    unit = max(array.depth, array.columns) if digits > 1 else array.depth
    return ceil_div(keys, unit) * unit // array.depth


def exp_words(keys: int, array: ArrayShape | MachineParameters, digits: int) -> int:
    """Words that LOAD writes for a row of a digit of exp."""
    return ceil_div(exp_steps(keys, array, digits) * array.depth, array.columns)


def head_units(array: ArrayShape, rows: int, words: int) -> int:
    """Units of 64 bytes that a head's keys, or its values, take in external memory."""
    padded = ceil_div(rows, array.row_width) * array.row_width
    return ceil_div(padded * words * array.columns, SECTION_ALIGN)


def accumulator_bits(steps: list[Step], graph: Graph) -> int:
    """The width that provably holds every accumulator, biases included."""
    largest = 1
    for step in steps:
        if isinstance(step, LinearStep):
            inputs = step.linear.inputs if step.factors else step.linear.inputs[:1]
            low, high = step.linear.op.accumulator_range(*map(graph.type_of, inputs))  # type: ignore[attr-defined]
        else:
            query = graph.type_of(step.query)
            heads, _, keys = step.scores.type.shape
            high = max(query.shape[-1] // heads * 128 * 128, keys * step.exp.type.integer_range[1] * 128)
            low = -high
        largest = max(largest, high, -low - 1)
    return max(16, largest.bit_length() + 1)
