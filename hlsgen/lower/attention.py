# SPDX-License-Identifier: Apache-2.0
"""What an attention command needs for its scores: products of queries and keys, or sums of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.lower.constants import walked
from hlsgen.lower.layout import Layout
from hlsgen.lower.part import Part
from hlsgen.lower.refuse import must_be
from hlsgen.lower.shape import Shape, mixed_shape
from hlsgen.lower.size import ArrayShape, exp_steps, exp_words, head_units, operand_words
from hlsgen.lower.step import AttentionStep
from hlsgen.machine.format.commands import Product
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.format.program import OutputLayout
from hlsgen.ops import IntegerContext, IntegerExp, IntegerMixedScores, IntegerScores
from hlsgen.ops.score_bias import requantized_range


def score_fields(
    step: AttentionStep, query: Layout, array: ArrayShape, p: MachineParameters
) -> dict[str, Any]:
    """The command's fields for scores of queries and keys; `query`: how a row of queries lies."""
    scores, words = step.scores.op, query.head_words
    if not isinstance(scores, IntegerScores):
        raise must_be(step.scores, "attention scores")
    _, queries, keys = step.scores.type.shape
    tiles = ceil_div(queries, p.rows)  # streamed attention has one part
    span = min(array.span, tiles) or tiles
    return {
        "product": Product.ATTENTION, "shared": step.shared[0], "shared_values": step.shared[1],
        "k_words": words,
        "k_steps": words * p.columns // p.depth,
        "outer_source": words, "head_stride": ceil_div(keys, p.columns) * words,
        "logit_multiplier": scores.multiplier, "logit_shift": scores.shift,
        "span": span if p.streamed else 0, "readings": ceil_div(tiles, span) if p.streamed else 0,
        "head_units": head_units(array, keys, words) if p.streamed else 0,
    }  # fmt: skip


def pack_score_addends(step: AttentionStep, part: Part, p: MachineParameters) -> list[bytes]:
    """The addends of a part's scores, head by head, each int16 in the order of an output of that shape.

    None where all of them are 0.

    Raises `UnsupportedModel` where exp does not know what code a hidden key has.
    """
    addends, exp = step.addends, step.exp.op
    hidden = None if addends is None else -(1 << (p.logit_bits - 1))
    if not isinstance(exp, IntegerExp) or exp.hidden != hidden:
        raise must_be(step.exp, "an exp that knows its scores' hidden keys")
    if addends is None or not part.adds:
        return []
    mine = part.addends(addends, p)
    layout = OutputLayout(tensor="", rows=mine.shape[1], columns=mine.shape[2], sweeps=1)
    again = part.count if part.window_rows and not part.keeps_addends(p) else 1
    return [layout.drained(head, p).tobytes() for head in mine] * again


def score_range(step: AttentionStep, part: Part, p: MachineParameters) -> dict[str, int]:
    """The command's fields for addends and the range of scores before them; in machines that have any."""
    if not p.score_addends:
        return {}
    low, high = requantized_range(p.logit_bits, hides=step.addends is not None, adds=part.adds)
    return {"score_addends": int(part.adds), "low": low, "high": high}


def operand_bases(
    step: AttentionStep, part: Part, array: ArrayShape | MachineParameters, words: tuple[int, int]
) -> tuple[int, int]:
    """Where keys and values of a part's first head begin; words of a head of keys and of values."""
    keys, (head, _) = step.scores.type.shape[2], part.heads
    return (
        head * operand_words(keys, array.columns, 0) * words[0],
        head * operand_words(keys, array.depth, 0) * words[1],
    )


def part_fields(
    step: AttentionStep,
    part: Part,
    p: MachineParameters,
    *,
    key_words: int,
    value_words: int,
    list_base: int = 0,
) -> dict[str, int]:
    """The command's fields for its share of heads, rows and keys; words of a head of keys and of values.

    list_base: the first word of the part's key list.
    """
    queries, keys = step.scores.type.shape[1:]
    (head, _), (first, stop) = part.heads, part.keys
    count, tiles = stop - first, part.tiles[1] - part.tiles[0]
    from_row, to_row = part.rows(p.rows, queries)
    rows = part.window_rows or to_row - from_row
    steps, words = (size(count, p, step.digits) for size in (exp_steps, exp_words))
    value_stride = operand_words(keys, p.depth, part.window_rows) * value_words
    key_stride = operand_words(keys, p.columns, part.window_rows) * key_words
    key_base = head // (step.shared[0] + 1) * key_stride if part.window_rows else head * key_stride
    value_base = head // (step.shared[1] + 1) * value_stride if part.window_rows else head * value_stride
    fields = {
        "tiles": tiles, "tail_rows": rows - (tiles - 1) * p.rows,
        "blocks": ceil_div(count, p.columns), "heads": part.count, "keys": count,
        "head_words": value_words, "value_stride": value_stride, "exp_steps": steps,
        "exp_words": words, "high_digits": step.digits - 1,
        "key_base": key_base + first // p.columns * key_words,
        "value_base": value_base + first // p.depth * value_words,
    }  # fmt: skip
    if part.runs:
        lists = {"key_base": list_base, "value_base": 0, "key_runs": len(part.runs[0])}
        return fields | lists | {"kept_addends": int(part.keeps_addends(p))}
    if not part.window_rows:
        return fields
    key_step = ceil_div(rows, p.columns) * key_words
    value_step = ceil_div(rows, p.depth) * value_words
    return fields | {
        "key_base": key_base + part.windows[0] * key_step, "head_stride": key_step,
        "value_base": value_base + part.windows[0] * value_step, "value_stride": value_step,
        "shared": 0, "shared_values": 0, "kept_addends": int(part.keeps_addends(p)),
    }  # fmt: skip


def computed_always(graph: Graph) -> list[str]:
    """Attention that reads the addend stream: it is computed for every task, with what the task needs for it.

    The stream goes on word by word, whatever the task.
    """
    nodes = {node.name: node for node in graph}
    return [node.name for node in graph if isinstance(node.op, IntegerContext) and _adds(node, nodes)]


def _adds(context: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether addends are added to the scores of a context."""
    exp = nodes.get(context.inputs[0])
    scores = nodes.get(exp.inputs[0]) if exp is not None else None
    return scores is not None and getattr(scores.op, "addends", None) is not None


def mixed_scores(step: AttentionStep, maps: Layout, array: ArrayShape) -> tuple[dict[str, Any], bytes]:
    """The command's fields, and its weights, for scores that are mixed from maps.

    maps: how a row of all maps lies. Each head has weights of its own: they say which parts of the row are
    added up, and how much of each.
    """
    scores, shape = step.scores.op, mixed_shape(maps, array)
    if not isinstance(scores, IntegerMixedScores):
        raise must_be(step.scores, "scores that are mixed from maps")
    weights = (_head(row, maps, shape, array).tobytes() for row in scores.weight)
    fields = shape.walk.fields if shape.walk else {}
    return fields | {
        "product": Product.MAPS, "shared_values": step.shared[1],
        "k_words": shape.k_words, "k_steps": shape.k_steps,
        "logit_multiplier": scores.multiplier, "logit_shift": scores.shift,
    }, b"".join(weights)  # fmt: skip


def _head(weight: np.ndarray, maps: Layout, shape: Shape, array: ArrayShape) -> np.ndarray:
    """Ring words [blocks, steps, D, C] of a head: column c of each map times the map's weight."""
    columns, depth, keys = array.columns, array.depth, maps.head_size
    steps = ceil_div(maps.elements, depth)
    padded = np.zeros((shape.blocks * columns, steps * depth), np.int8)
    for places, factor in zip(maps.positions().reshape(-1, keys), weight, strict=True):
        padded[np.arange(keys), places] = factor
    words = padded.reshape(shape.blocks, columns, steps, depth).transpose(0, 2, 3, 1)
    return walked(words, shape.walk)
