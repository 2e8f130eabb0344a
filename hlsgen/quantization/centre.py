# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> an equal one whose 8-bit tensors lie around zero: constants move past them, into biases.

- An activation's result, read by linear layers: the middle of its range. The table gives the rest, so that
  GELU uses all 256 integers and not the 128 above zero.
- What an activation reads: the middle of the range that its function shows, so that ReLU's inputs have no
  integers for what becomes zero. The table takes it back.
- A context: each channel's mean. The values lose it, for the weights of a row
  sum to one, unless it sees no key.
- Keys under a softmax: each channel's mean. It adds the same to all logits of a row, so nobody takes it back.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, Node, Op
from hlsgen.ops import Activation, Context, ExpertLinear, GroupedLinear, Linear, Scores, Softmax
from hlsgen.ops.pointwise import LONGEST, function
from hlsgen.quantization.calibrate import LARGEST, walk_parts
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.shown import activation_of, called, middle, sees_errors, taking_back
from hlsgen.quantization.statistics import Average, Histogram

LEVELS = 256
"""Integers of 8 bits."""
_KEPT = np.linspace(1.0, 0.95, 6)
"""Shares of the range's ends that are tried."""
_MOVED = "sub("
_Layer = Linear | GroupedLinear | ExpertLinear
_DEFAULT = QuantizeConfig()


def centre(graph: Graph, images: np.ndarray, config: QuantizeConfig = _DEFAULT) -> Graph:
    """The folded `graph` with constants moved; images: [N, ...], a sample of the calibration."""
    wanted = [
        node
        for node in graph
        if _moves(graph, node) and (activation_of(graph, node) is None or sees_errors(node, config))
    ]
    if not wanted:
        return graph
    return without(graph, _middles(graph, wanted, images, config))


def without(graph: Graph, constants: Mapping[str, np.ndarray | float]) -> Graph:
    """The folded graph, its tensors without these constants; `loses` says which tensors may lose one."""
    middles = {name: np.array(value) for name, value in constants.items()}
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        builder.add(node.name, _moved(graph, node, middles), node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def loses(graph: Graph, node: Node) -> bool:
    """Whether the node's own result may lose any constant: an activation's, what one reads, or keys'."""
    return not isinstance(node.op, Context) and _moves(graph, node)


def _moves(graph: Graph, node: Node) -> bool:
    """Whether a constant of the node's result may move."""
    users = graph.users(node.name)
    if not users or node.name in graph.outputs:
        return False
    match node.op:
        case Activation(function=text):
            read = all(isinstance(user.op, _Layer) and user.inputs[0] == node.name for user in users)
            return len(text) < LONGEST // 2 and read
        case Context():
            values = graph.node(node.inputs[1])
            own = isinstance(values.op, Linear) and graph.users(values.name) == (node,)
            same = values.type.shape[-1] == node.type.shape[-1] and values.name not in graph.outputs
            alike = own and same and all(isinstance(user.op, Linear) for user in users)
            return alike and not _hides_all(graph, node)
        case Linear() | GroupedLinear() | ExpertLinear() if activation_of(graph, node) is not None:
            return True
        case Linear():
            (reader, *others) = users
            under = isinstance(reader.op, Scores) and reader.inputs[1] == node.name != reader.inputs[0]
            weighs = all(isinstance(user.op, Softmax) for user in graph.users(reader.name))
            return under and weighs and not others and reader.name not in graph.outputs
        case _:
            return False


def _hides_all(graph: Graph, context: Node) -> bool:
    """Whether a query of the context sees no key: its weights are zeros, and don't sum to one."""
    weights = graph.node(context.inputs[0])
    scores = graph.node(weights.inputs[0]).op if weights.inputs else None
    bias = getattr(scores, "bias", None)
    return bias is not None and bool(np.isneginf(bias).all(-1).any())


def _middles(
    graph: Graph, wanted: list[Node], images: np.ndarray, config: QuantizeConfig
) -> dict[str, np.ndarray]:
    """The middle of the best range at an activation, else the mean of each channel, over all tasks."""
    before = {node.name: found for node in wanted if (found := activation_of(graph, node)) is not None}
    histograms = {
        node.name: Histogram() for node in wanted if node.name in before or isinstance(node.op, Activation)
    }
    means = {node.name: Average() for node in wanted if node.name not in histograms}
    with np.errstate(all="ignore"):
        for name, value in walk_parts(graph, images, config.batch, "centre"):
            largest = float(np.abs(value).max(initial=0.0))
            if not largest < LARGEST and not np.isneginf(value).any():
                return {}  # `observe` says it of the tensor
            if name in histograms and value.size:
                histograms[name].update(value, largest)
            if name in means and value.size:
                means[name].update(value)
    middles = {
        name: np.array(
            middle(graph.node(name), *found.points(), function(before[name].function), config)
            if name in before
            else best_range(*found.points())[0]
        )
        for name, found in histograms.items()
    }
    return middles | {name: average.mean() for name, average in means.items()}


def best_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Middle and step of the 256 values that lose least of values [N] that stand for `counts` [N] each."""
    low, high = float(values.min()), float(values.max())
    best, least = ((low + high) / 2, (high - low) / (LEVELS - 1) or 1.0), np.inf
    for bottom, top in itertools.product(low * _KEPT, high * _KEPT):
        step = (top - bottom) / (LEVELS - 1)
        if step <= 0.0:
            continue
        error = bottom + step * np.clip(np.floor((values - bottom) / step + 0.5), 0, LEVELS - 1) - values
        loss = float(counts @ (error * error))
        if loss < least:
            best, least = (bottom + step * LEVELS / 2, step), loss
    return best


def _moved(graph: Graph, node: Node, middles: dict[str, np.ndarray]) -> Op:
    """The node's op: without the constant of its own result, with that of its input."""
    op = node.op
    if isinstance(op, Activation):
        text = op.function
        if node.inputs[0] in middles:
            text = taking_back(text, float(middles[node.inputs[0]]))
        if node.name in middles:
            text = f"{_MOVED}{called(text)}, {float(middles[node.name])!r})"
        return Activation(function=text)
    if not isinstance(op, _Layer):
        return op
    bias = op.bias.astype(np.float64)
    before = middles.get(node.inputs[0])
    if before is not None:
        bias = bias + _product(op, before)
    if not isinstance(op, Linear):
        return dataclasses.replace(op, bias=bias - middles.get(node.name, 0.0))
    (reader, *_) = graph.users(node.name) or (node,)
    lost = reader.name if isinstance(reader.op, Context) and reader.inputs[1] == node.name else node.name
    return Linear(weight=op.weight, bias=bias - middles.get(lost, 0.0))


def is_moved(op: Activation) -> bool:
    """Whether a constant was taken from an activation's result."""
    return op.function.startswith(_MOVED)


def _product(op: _Layer, row: np.ndarray) -> np.ndarray:
    """What a layer makes of the same input row [K], or number, for all tokens."""
    if isinstance(op, GroupedLinear):
        parts = np.broadcast_to(row, op.groups * op.weight.shape[-1]).reshape(op.groups, -1)
        return (op.weight * np.repeat(parts, len(op.weight) // op.groups, 0)).sum(-1)
    return op.weight @ np.broadcast_to(row, op.weight.shape[-1])
