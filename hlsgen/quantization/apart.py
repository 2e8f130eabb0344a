# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> an equal one in which an activation's outlying channels are a tensor of their own.

An int8 tensor has one scale, and its largest element sets it. Where a few channels of GELU reach much
farther than the others, these have few integers left. The layer before is then two layers, so is the layer
behind, and both results are added: x + B(f(A n)) = x + B1(f(A1 n)) + B2(f(A2 n)). It costs the commands of
narrow layers.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node
from hlsgen.ops import Activation, Add, Linear
from hlsgen.quantization.calibrate import walk_parts

CHANNELS = 32
"""Outlying channels of a tensor: fewer cost the machine as much, for it has an addition for every element."""
FEWEST, FEWEST_ROWS = 16 * CHANNELS, CHANNELS
"""Channels and rows that a tensor has at least: a small one would gain little for the commands."""
GAIN = 0.375
"""Of the error at most is left where a tensor is split: it loses 4.3 dB. Channels of random weights differ by
less; those of few rows by more, by chance."""


@dataclasses.dataclass(frozen=True)
class _Mlp:
    """Layers around an activation, and the addition behind them."""

    before: Node
    active: Node
    behind: Node
    sum: Node

    @property
    def weight(self) -> np.ndarray:
        """Of the layer behind, [N, K]."""
        assert isinstance(self.behind.op, Linear)
        return self.behind.op.weight


def with_outliers_apart(graph: Graph, images: np.ndarray, most: int = 64) -> Graph:
    """The folded `graph` with activations split; images: [N, ...], a sample, `most` of them taken at once."""
    found = {mlp.active.name: mlp for node in graph if (mlp := _mlp(graph, node))}
    if not found:
        return graph
    reach: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for name, value in walk_parts(graph, images, most, "find outliers"):
            if name in found and value.size:
                largest = np.abs(value.reshape(-1, value.shape[-1])).max(0)
                reach[name] = np.maximum(reach.get(name, 0.0), largest)
    chosen = {
        name: channels
        for name, largest in reach.items()
        if (channels := outliers(largest, found[name].weight)) is not None
    }
    return _split(graph, [(found[name], channels) for name, channels in chosen.items()]) if chosen else graph


def outliers(largest: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """The channels to set apart, ascending, for the largest magnitudes [K] before weights [N, K]; or None."""
    if not np.isfinite(largest).all():
        return None  # `observe` says it of the tensor
    order = np.argsort(-largest, kind="stable")
    power = (weight * weight).sum(0)[order]
    steps = largest[order[[0, CHANNELS]]] ** 2
    left = steps[0] * power[:CHANNELS].sum() + steps[1] * power[CHANNELS:].sum()
    return np.sort(order[:CHANNELS]) if left < GAIN * steps[0] * power.sum() else None


def _mlp(graph: Graph, active: Node) -> _Mlp | None:
    """What stands around an activation that can be split."""
    if not isinstance(active.op, Activation) or active.inputs[0] == graph.input:
        return None
    rows, width = active.type.shape[-2:]
    if rows < FEWEST_ROWS or width < FEWEST:
        return None
    before = graph.node(active.inputs[0])
    chain = [before, active]
    for _ in range(2):
        users = graph.users(chain[-1].name)
        if len(users) != 1:
            return None
        chain.append(users[0])
    mlp = _Mlp(*chain)
    own = graph.users(before.name) == (active,) and not {node.name for node in chain[:3]} & {*graph.outputs}
    linear = isinstance(before.op, Linear) and isinstance(mlp.behind.op, Linear)
    added = isinstance(mlp.sum.op, Add) and mlp.sum.inputs.count(mlp.behind.name) == 1
    return mlp if own and linear and added else None


def _split(graph: Graph, chosen: list[tuple[_Mlp, np.ndarray]]) -> Graph:
    """The graph with these channels of activations apart."""
    before = {mlp.before.name: channels for mlp, channels in chosen}
    behind = {mlp.behind.name: channels for mlp, channels in chosen}
    active = {mlp.active.name for mlp, _ in chosen}
    sums = {mlp.sum.name: mlp.behind.name for mlp, _ in chosen}
    builder = GraphBuilder(graph.input, graph.input_type)
    taken, apart = {node.name for node in graph}, dict[str, str]()

    def named(name: str) -> str:
        text = free_name(f"{name}_outliers", taken)
        taken.add(text)
        apart[name] = text
        return text

    for node in graph:
        op, inputs = node.op, list(node.inputs)
        if isinstance(op, Linear) and node.name in before:
            channels = before[node.name]
            few = Linear(weight=op.weight[channels], bias=op.bias[channels])
            builder.add(named(node.name), few, inputs, node.source)
            op = Linear(weight=np.delete(op.weight, channels, 0), bias=np.delete(op.bias, channels))
        elif node.name in active:
            builder.add(named(node.name), op, [apart[inputs[0]]], node.source)
        elif isinstance(op, Linear) and node.name in behind:
            channels = behind[node.name]
            few = Linear(weight=op.weight[:, channels], bias=np.zeros(len(op.bias)))
            builder.add(named(node.name), few, [apart[inputs[0]]], node.source)
            op = Linear(weight=np.delete(op.weight, channels, 1), bias=op.bias)
        elif node.name in sums:
            part = apart[sums[node.name]]
            inputs = [builder.add(named(node.name), op, inputs, node.source), part]
        builder.add(node.name, op, inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)
