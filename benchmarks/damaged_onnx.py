# SPDX-License-Identifier: Apache-2.0
"""Faults of ONNX files that stay whole and say something else, each drawn from a generator."""

from __future__ import annotations

import random
from typing import Any

_NUMBERS = (-(2**62), -1, 0, 7, 1 << 40)
_PLACES = ("/etc/passwd", "../x", "a.onnx", "", "/dev/zero")


def onnx_damaged(rng: random.Random, data: bytes) -> bytes:
    """An ONNX file with one or two fields of its graph changed."""
    import onnx

    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(_FAULTS)(rng, model)
    return model.SerializeToString()


def _operator(rng: random.Random, model: Any) -> None:
    nodes = model.graph.node
    rng.choice(nodes).op_type = rng.choice((rng.choice(nodes).op_type, "Loop", "Einsum", "TopK", ""))


def _input(rng: random.Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    if not node.input:
        return
    place = rng.randrange(len(node.input))
    if rng.random() < 0.3:
        del node.input[place:]
        return
    names = ("", "nothing", rng.choice(model.graph.initializer).name, rng.choice(model.graph.node).output[0])
    node.input[place] = rng.choice(names)


def _nodes(rng: random.Random, model: Any) -> None:
    nodes = model.graph.node
    nodes.remove(rng.choice(nodes))
    if rng.random() < 0.3:
        nodes.append(rng.choice(nodes))


def _attribute(rng: random.Random, model: Any) -> None:
    """Another number, name or type."""
    attribute = rng.choice([item for node in model.graph.node for item in node.attribute])
    kind = rng.randrange(4)
    if kind == 0:
        attribute.name = rng.choice(("axis", "perm", "x", ""))
    elif kind == 1:
        attribute.type = rng.randrange(15)
    elif attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_NUMBERS)
    else:
        attribute.i = rng.choice(_NUMBERS)


def _weight(rng: random.Random, model: Any) -> None:
    """Another size, type or content."""
    weight, kind = rng.choice(model.graph.initializer), rng.randrange(3)
    if kind == 0 and weight.dims:
        weight.dims[rng.randrange(len(weight.dims))] = rng.choice((0, -1, 1, 1 << 20, 1 << 40))
    elif kind == 1:
        weight.data_type = rng.randrange(25)
    else:
        data = weight.raw_data
        weight.raw_data = rng.choice((b"", data[:-1], rng.randbytes(len(data)), b"\xff" * len(data)))


def _outside(rng: random.Random, model: Any) -> None:
    """Weights in another file."""
    weight = rng.choice(model.graph.initializer)
    weight.data_location = 1
    entry = weight.external_data.add()
    entry.key, entry.value = "location", rng.choice(_PLACES)


def _opset(rng: random.Random, model: Any) -> None:
    model.opset_import[0].version = rng.choice((0, 11, 17, 23, 99, -1))


def _size(rng: random.Random, model: Any) -> None:
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    sizes[rng.randrange(len(sizes))].dim_value = rng.choice((0, -1, 2, 7, 1 << 20, 1 << 60))


_FAULTS = (_operator, _input, _nodes, _attribute, _weight, _weight, _outside, _opset, _size)
