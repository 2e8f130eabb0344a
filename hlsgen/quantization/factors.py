# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> an equal one whose norms give each element a power of two of its own.

An int8 tensor has one scale, and its largest element sets it. An element of a norm that stays small gets a
factor 2**t, t in 0..7, so that it uses more of its integers. The layers that read it have weights 2**t times
as small there: these round in units of each row's largest weight, so they lose what the element gains. The
factors are those of the least error that both together leave in the results of these layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, Node, Op
from hlsgen.numerics import NORM_SHIFT_BITS
from hlsgen.ops import ExpertLinear, GroupedLinear, Linear
from hlsgen.ops.norm import Norm
from hlsgen.quantization.calibrate import walk_parts
from hlsgen.quantization.rules.rule import INT8

MOST = (1 << NORM_SHIFT_BITS) - 1
"""Largest exponent of a factor."""
GAIN = 0.5
"""With `auto` a norm gets factors where these leave so much of the error at most: it loses 3 dB. Trained
models without outliers lose by factors that the estimate gives 2 dB for; with outliers they gain."""
ROUNDS, SMALLEST = 6, 1e-300
SAMPLE = 512
"""Rows of a norm that tell how large the results behind it are."""


class Rows:
    """What images say of a norm's rows: largest magnitude and mean square by element, and some rows."""

    def __init__(self, width: int) -> None:
        self.largest, self._squares, self._count = np.zeros(width), np.zeros(width), 0
        self._kept: list[np.ndarray] = []

    def update(self, value: np.ndarray) -> None:
        """Take a batch [..., N]."""
        rows = value.reshape(-1, value.shape[-1])
        if len(rows):
            self.largest = np.maximum(self.largest, np.abs(rows).max(0))
            self._squares += (rows * rows).sum(0)
            self._count += len(rows)
            self._kept.append(rows[:: -(-len(rows) // SAMPLE)])

    @property
    def squares(self) -> np.ndarray:
        """The mean square of each element."""
        return self._squares / max(1, self._count)

    def power(self, weight: np.ndarray) -> float:
        """How much the results of a layer [O, N] differ between rows: the sum of their variances."""
        rows = np.concatenate(self._kept)
        return float((rows[:: -(-len(rows) // SAMPLE)] @ weight.T).var(0).sum())


def with_factors(graph: Graph, images: np.ndarray, choice: str, most: int = 64) -> Graph:
    """The folded `graph`, whose norms have factors; images: [N, ...], a sample, `most` are taken at once.

    choice: `auto` for those that gain by it, `on` for all whose error does not grow.
    """
    seen = {node.name: Rows(node.type.shape[-1]) for node in graph if _may_have(graph, node)}
    if not seen:
        return graph
    with np.errstate(all="ignore"):
        for name, value in walk_parts(graph, images, most, "choose factors"):
            if name in seen:
                seen[name].update(value)
    if not all(np.isfinite(rows.largest).all() for rows in seen.values()):
        return graph  # `observe` says it of the tensor
    found = {name: chosen(rows, read_by(graph, name), choice) for name, rows in seen.items()}
    factors = {name: 2.0**exponents for name, exponents in found.items() if exponents.any()}
    if not factors:
        return graph
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        builder.add(node.name, _scaled(node, factors), node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def chosen(rows: Rows, weights: Sequence[np.ndarray], choice: str) -> np.ndarray:
    """Exponents [N] for the rows of a norm that layers with these weights [O, N] read; zeros where none gain.

    The largest element has none. An element's error is that of its integer, behind the weights, and what the
    rounding of its weights makes of it. For given units of the weights each has one best exponent. A layer
    that copies, as behind the last norm, has one weight in a row, which is never rounded.
    """
    largest = rows.largest
    none = np.zeros(len(largest), np.int64)
    weights = [weight / power**0.5 for weight in weights if (power := rows.power(weight)) > 0]
    if not weights or not largest.any():
        return none
    error = Error((largest.max() / INT8) ** 2, rows.squares, np.concatenate(weights))
    room = np.floor(np.log2(largest.max() / np.where(largest > 0, largest, largest.max())))
    room = np.clip(room, 0, MOST).astype(np.int64)
    tried = [none, room]
    for start in (none, room):
        exponents = start
        for _ in range(ROUNDS):
            exponents = np.clip(error.best(exponents), 0, room)
            tried.append(exponents)
    best = min(tried, key=error.of)
    return best if error.of(best) < (GAIN if choice == "auto" else 1.0) * error.of(none) else none


class Error:
    """The mean square error of the results, times 12; step: the integers' unit, squared; weight: [O, N]."""

    def __init__(self, step: float, squares: np.ndarray, weight: np.ndarray) -> None:
        self._integers = step * (weight * weight).sum(0)
        self._squares, self._magnitude = squares, np.abs(weight)

    def _units(self, exponents: np.ndarray) -> np.ndarray:
        """The squares of the units of all rows of weights that an element's weights are rounded in, [N]."""
        scaled = self._magnitude * 2.0**-exponents
        # A row's unit is a part of its largest weight; that one and zeros are not rounded.
        rounded = (scaled > 0.0) & (np.arange(scaled.shape[1]) != scaled.argmax(-1)[:, None])
        return (scaled.max(-1) ** 2) @ rounded / INT8**2

    def of(self, exponents: np.ndarray) -> float:
        """With these factors."""
        factors = 4.0**exponents
        lost = self._squares * factors * self._units(exponents)
        return float((self._integers / factors + lost).sum())

    def best(self, exponents: np.ndarray) -> np.ndarray:
        """The exponents that are best where the units of weights are those of `exponents`."""
        both = self._integers, self._squares * self._units(exponents)
        gained, lost = (np.log2(np.maximum(each, SMALLEST)) for each in both)
        return np.round((gained - lost) / 4).astype(np.int64)


def _may_have(graph: Graph, node: Node) -> bool:
    """Whether each reader of a norm of whole rows takes back what its elements get."""
    if not isinstance(node.op, Norm) or node.op.heads > 1 or node.name in graph.outputs:
        return False
    users = graph.users(node.name)
    return bool(users) and all(isinstance(user.op, Linear | GroupedLinear | ExpertLinear) for user in users)


def read_by(graph: Graph, name: str) -> list[np.ndarray]:
    """The weights [O, N] of the layers that read a norm."""
    found = []
    for user in graph.users(name):
        match user.op:
            case GroupedLinear(groups=groups, weight=weight):
                dense = np.zeros((groups, len(weight) // groups, groups, weight.shape[1]))
                every = np.arange(groups)
                dense[every, :, every] = weight.reshape(groups, -1, weight.shape[1])
                found.append(dense.reshape(len(weight), -1))
            case Linear(weight=weight) | ExpertLinear(weight=weight):
                found.append(weight.reshape(-1, weight.shape[-1]))
            case _:
                continue
    return found


def _scaled(node: Node, factors: dict[str, np.ndarray]) -> Op:
    """The node's op with factors of its own, or without those of its input."""
    op = node.op
    if isinstance(op, Norm) and node.name in factors:
        return op.times_columns(factors[node.name])
    factor = factors.get(node.inputs[0])
    if factor is None or not isinstance(op, Linear | GroupedLinear | ExpertLinear):
        return op
    if isinstance(op, GroupedLinear):  # a row of weights reads its group's part
        factor = np.repeat(factor.reshape(op.groups, -1), len(op.weight) // op.groups, 0)
    return dataclasses.replace(op, weight=op.weight / factor)
