# SPDX-License-Identifier: Apache-2.0
"""What layers with few bits for a weight read, on the kept calibration images: means and covariances."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hlsgen.ir import Node, batch_size, walk
from hlsgen.ops import ExpertLinear
from hlsgen.ops.route import split
from hlsgen.progress.steps import step
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import INT8, Model, rule_of
from hlsgen.quantization.statistics import Moments

MOST_WORK = 1 << 36
"""Multiplications for all covariances, about: a large model needs few images, for each has many rows."""
FEWEST = 8
"""Images that are taken at least, if there are so many."""
_Key = tuple[str, ...]


def with_moments(model: Model, images: np.ndarray, most: int) -> Model:
    """The model with the moments of the integer input of each layer whose weights are rounded by them.

    A layer of experts has those of each expert's rows. Layers that read the same tensor share them. images:
    [N, ...], a sample of the calibration, of which `most` are taken at once.
    """
    layers = [node for node in model.graph if rule_of(node).weighted and model.site(node).rounds_by_inputs]
    found = {_key(node): _empty(model, node) for node in layers}
    if not found:
        return model
    images = images[:: -(-len(images) // max(FEWEST, MOST_WORK // _work(model, layers)))]
    with step("measure the inputs of weights", len(images) * model.graph.tasks) as told:
        for task in range(model.graph.tasks):
            run = {node.name for node in model.graph.for_task(task)}
            mine = {_key(node): node for node in layers if node.name in run}
            for part in told.parts(images, batch_size(model.graph, most)):
                _take(model, part, task, mine, found)
    return dataclasses.replace(model, moments={node.name: found[_key(node)] for node in layers})


def _key(node: Node) -> _Key:
    """What the node's moments are of: a tensor, and the routing that sends its rows to experts."""
    return node.inputs if isinstance(node.op, ExpertLinear) else node.inputs[:1]


def _empty(model: Model, node: Node) -> tuple[Moments, ...]:
    width = model.graph.type_of(node.inputs[0]).shape[-1]
    count = len(node.op.weight) if isinstance(node.op, ExpertLinear) else 1
    return tuple(Moments(width) for _ in range(count))


def _work(model: Model, layers: list[Node]) -> int:
    """Multiplications for an image."""
    shapes = {_key(node): model.graph.type_of(node.inputs[0]).shape for node in layers}
    return model.graph.tasks * sum(rows * width**2 for *_, rows, width in shapes.values())


def _take(
    model: Model,
    images: np.ndarray,
    task: int,
    layers: dict[_Key, Node],
    found: dict[_Key, tuple[Moments, ...]],
) -> None:
    """Take a batch."""
    values: dict[str, np.ndarray] = {}
    last = {name: key for key in layers for name in key}
    for name, value in walk(model.graph, images, task):
        if name not in last:
            continue
        values[name] = value
        for key, node in layers.items():
            if name in key and all(each in values for each in key):
                for moments, rows in zip(
                    found[key], _rows(node, [values[each] for each in key]), strict=True
                ):
                    scale = model.scales[node.inputs[0]]
                    moments.update(np.clip(nearest(rows / scale), -INT8 - 1, INT8))


def _rows(node: Node, inputs: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows that the layer, or each of its experts, is multiplied by."""
    if not isinstance(node.op, ExpertLinear):
        yield inputs[0]
        return
    x, (chosen, _) = inputs[0], split(inputs[1])
    if x.shape[-2] == chosen.shape[-2]:
        x = np.repeat(x, chosen.shape[-1], axis=-2)
    flat = chosen.reshape(*chosen.shape[:-2], -1)
    for expert in range(len(node.op.weight)):
        yield x[flat == expert]
