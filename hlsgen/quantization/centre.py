# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> an equal one whose 8-bit tensors lie around zero: constants move past them, into biases.

- An activation's result, read by linear layers: the middle of its range. The table gives the rest, so that
  GELU uses all 256 integers and not the 128 above zero.
- A context: each channel's mean. The values lose it, for the weights of a row sum to one.
- Keys under a softmax: each channel's mean. It adds the same to all logits of a row, so nobody takes it back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, Node, Op, walk
from hlsgen.ops import Activation, Context, Linear, Scores, Softmax
from hlsgen.ops.pointwise import LONGEST


def centre(graph: Graph, images: np.ndarray) -> Graph:
    """The folded `graph` with constants moved; images: [N, ...], a sample of the calibration."""
    wanted = [node for node in graph if _moves(graph, node)]
    if not wanted:
        return graph
    middles = _middles(graph, wanted, images)
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        builder.add(node.name, _moved(graph, node, middles), node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def without(graph: Graph, constants: Mapping[str, float]) -> Graph:
    """The folded graph, its tensors without these constants; `loses` says which tensors may lose one."""
    middles = {name: np.array(value) for name, value in constants.items()}
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        builder.add(node.name, _moved(graph, node, middles), node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def loses(graph: Graph, node: Node) -> bool:
    """Whether the node's own result may lose any constant: an activation's, or keys'."""
    return not isinstance(node.op, Context) and _moves(graph, node)


def _moves(graph: Graph, node: Node) -> bool:
    """Whether a constant of the node's result may move."""
    users = graph.users(node.name)
    if not users or node.name in graph.outputs:
        return False
    match node.op:
        case Activation(function=text):
            return len(text) < LONGEST // 2 and all(isinstance(user.op, Linear) for user in users)
        case Context():
            values = graph.node(node.inputs[1])
            own = isinstance(values.op, Linear) and graph.users(values.name) == (node,)
            same = values.type.shape[-1] == node.type.shape[-1] and values.name not in graph.outputs
            return own and same and all(isinstance(user.op, Linear) for user in users)
        case Linear():
            (reader, *others) = users
            under = isinstance(reader.op, Scores) and reader.inputs[1] == node.name != reader.inputs[0]
            weighs = all(isinstance(user.op, Softmax) for user in graph.users(reader.name))
            return under and weighs and not others and reader.name not in graph.outputs
        case _:
            return False


def _middles(graph: Graph, wanted: list[Node], images: np.ndarray) -> dict[str, np.ndarray]:
    """The middle of an activation's range, else the mean of each channel, over all tasks."""
    names = {node.name: isinstance(node.op, Activation) for node in wanted}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for task in range(graph.tasks):
        for name, value in walk(graph, images, task):
            if name in names and value.size:
                rows = value.reshape(-1, value.shape[-1])
                ends = np.array([rows.min(), rows.max()])
                found[name].append(ends if names[name] else rows.mean(0))
    return {
        name: np.array((np.min(parts) + np.max(parts)) / 2) if names[name] else np.mean(parts, 0)
        for name, parts in found.items()
    }


def _moved(graph: Graph, node: Node, middles: dict[str, np.ndarray]) -> Op:
    """The node's op: without the constant of its own result, with that of its input."""
    op = node.op
    if isinstance(op, Activation):
        if node.name not in middles:
            return op
        return Activation(function=f"sub({_called(op.function)}, {float(middles[node.name])!r})")
    if not isinstance(op, Linear):
        return op
    bias = op.bias.astype(np.float64)
    before = middles.get(node.inputs[0])
    if before is not None:
        bias = bias + op.weight @ np.broadcast_to(before, op.weight.shape[1])
    (reader, *_) = graph.users(node.name) or (node,)
    lost = reader.name if isinstance(reader.op, Context) and reader.inputs[1] == node.name else node.name
    return Linear(weight=op.weight, bias=bias - middles.get(lost, 0.0))


def _called(text: str) -> str:
    """An expression of x out of a function's name; expressions as they are."""
    return text if "(" in text or text == "x" else f"{text}(x)"
