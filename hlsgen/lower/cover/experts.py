# SPDX-License-Identifier: Apache-2.0
"""A mixture of experts as steps: its routers, then two steps for each expert."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node
from hlsgen.lower.cover.rows import rows_of, way_in
from hlsgen.lower.step import LinearStep, Rows
from hlsgen.machine.format.commands import Drain, Load
from hlsgen.ops import Choose, IntegerCombine, IntegerExpertLinear, IntegerLinear, IntegerTable


def routers_of(route: Node, nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """The linear layers behind a routing, one for each task or one for all."""
    source = nodes[route.inputs[0]]
    return source.inputs if isinstance(source.op, Choose) else (source.name,)


def expert_steps(
    route: Node,
    graph: Graph,
    nodes: Mapping[str, Node],
    tasks: Callable[[str], int],
    is_needed: Callable[[str], bool],
) -> list[LinearStep]:
    """The steps of a routing; raises `UnsupportedModel` for what is no mixture of experts."""
    up, table, down, combine = mixture(route, graph)
    # A task that leaves before these experts has a router that nobody needs.
    routers = [nodes[name] for name in dict.fromkeys(routers_of(route, nodes)) if is_needed(name)]
    shared = tuple(node for node in graph if node.name in (route.inputs[0], route.name))
    inner = (*way_in(up, nodes), up, table, down, combine)
    steps = [
        LinearStep(
            rows=rows_of(node, nodes), linear=node, drain=Drain.REQUANTIZE, result=node.name, route=route,
            experts_table=table, tasks=tasks(node.name),
            nodes=tuple(dict.fromkeys((*way_in(node, nodes), node, *shared))),
        )
        for node in routers
    ]  # fmt: skip
    common: dict[str, Any] = {"route": route, "tasks": tasks(route.name), "nodes": inner}
    for expert in range(graph.type_of(route.inputs[0]).shape[-1]):
        first, second = (_expert_layer(layer, expert, route.type.shape[0]) for layer in (up, down))
        common["expert"] = expert + 1
        steps += [_up(rows_of(up, nodes), first, table, common), _down(table, second, combine, common)]
    return steps


def mixture(route: Node, graph: Graph) -> tuple[Node, Node, Node, Node]:
    """First layers, table, second layers, and the combination of a routing's experts."""
    users = graph.users(route.name)
    layers = [node for node in users if isinstance(node.op, IntegerExpertLinear)]
    combine = [node for node in users if isinstance(node.op, IntegerCombine)]
    tables = [node for layer in layers[:1] for node in graph.users(layer.name)]
    parts = [*layers[:1], *tables, *layers[1:], *combine]
    wanted = (IntegerExpertLinear, IntegerTable, IntegerExpertLinear, IntegerCombine)
    fits = len(parts) == 4 and all(
        isinstance(node.op, kind) for node, kind in zip(parts, wanted, strict=True)
    )
    inside = [node for node in parts[:3] if node.name in graph.outputs or len(graph.users(node.name)) != 1]
    if not fits or inside or parts[2].inputs[0] != parts[1].name or parts[3].inputs[1] != parts[2].name:
        raise UnsupportedModel(
            Problem(
                f"{route.name}: IntegerRoute can't be lowered",
                where=str(route.source),
                why="its experts must be two layers with a table between, which nothing else reads",
                fix="see docs/lowering.md for what an integer graph must be",
            ),
            code=Code.LOWERING,
        )
    return parts[0], parts[1], parts[2], parts[3]


def _up(rows: Rows, linear: Node, table: Node, common: dict[str, Any]) -> LinearStep:
    """One expert's first layer, with the table behind it."""
    fields = {"drain": Drain.ACTIVATION, "result": table.name, "table": table}
    return LinearStep(rows=rows, linear=linear, **fields, **common)


def _down(table: Node, linear: Node, combine: Node, common: dict[str, Any]) -> LinearStep:
    """One expert's second layer, whose weighted results DRAIN adds to the residual stream."""
    fields = {"result": combine.name, "addend": combine.inputs[0], "combine": combine}
    rows = Rows(load=Load.ROWS, tensor=table.name)
    return LinearStep(rows=rows, linear=linear, drain=Drain.COMBINE, **fields, **common)


def _expert_layer(layer: Node, expert: int, tokens: int) -> Node:
    """One expert's linear layer, on as many rows as there are tokens."""
    op = layer.op
    if not isinstance(op, IntegerExpertLinear):
        raise UnsupportedModel(f"{layer.name}: must be a layer of experts", code=Code.LOWERING)
    fields = {name: getattr(op, name)[expert] for name in ("weight", "bias", "multiplier", "shift")}
    linear = IntegerLinear(**fields, low=op.low, high=op.high, scale=op.scale, weight_bits=op.weight_bits)
    kind = dataclasses.replace(layer.type, shape=(tokens, layer.type.shape[-1]))
    return dataclasses.replace(layer, name=f"{layer.name}_{expert}", op=linear, type=kind)
