# SPDX-License-Identifier: Apache-2.0
"""What a command takes along on its way in: the access and load nodes between a memory and a product."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.ir import Node
from hlsgen.lower.roles import along
from hlsgen.lower.step import Rows
from hlsgen.machine.format.commands import Load
from hlsgen.ops import Gather, IntegerMean, Patches, Select
from hlsgen.ops.norm import IntegerNorm


def way_in(node: Node, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """The nodes that make a node's first input in its own command, from the memory on."""
    found: list[Node] = []
    below = nodes.get(node.inputs[0])
    while below is not None and along(node.op, below.op):
        found.append(below)
        node, below = below, nodes.get(below.inputs[0])
    return tuple(found[::-1])


def rows_of(node: Node, nodes: Mapping[str, Node]) -> Rows:
    """How the machine makes the operand rows of a product."""
    steps, first = way_in(node, nodes), 0
    patches = pool = norm = gather = None
    for each in steps:
        match each.op:
            case Patches():
                patches = each
            case Select(start=start):
                first += start
            case Gather():
                gather = each
            case IntegerMean():
                pool = each
            case IntegerNorm():
                norm = each
    tensor = steps[0].inputs[0] if steps else node.inputs[0]
    load = Load.POOL_NORM if norm and pool else Load.LAYER_NORM if norm else Load.POOL if pool else Load.ROWS
    load = Load.PATCHES if patches else load
    return Rows(
        load=load, tensor=tensor, first=first, norm=norm, pool=pool, patches=patches, gather=gather
    )  # fmt: skip


def selected(name: str, nodes: Mapping[str, Node]) -> tuple[str, int, tuple[Node, ...]]:
    """The tensor in memory of which `name` has some rows, the first of them, and the selections."""
    first, found = 0, []
    node = nodes.get(name)
    while node is not None and isinstance(node.op, Select):
        found.append(node)
        first, name = first + node.op.start, node.inputs[0]
        node = nodes.get(name)
    return name, first, tuple(found[::-1])
