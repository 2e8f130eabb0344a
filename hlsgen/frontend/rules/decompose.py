# SPDX-License-Identifier: Apache-2.0
"""An operator without a rule is taken apart into those that torch itself defines it by."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.fx import Node
from torch.utils._pytree import tree_flatten, tree_unflatten

from hlsgen.frontend.read.export import GETITEM, Call, Ref
from hlsgen.frontend.rules.constants import operator
from hlsgen.frontend.rules.terms import Value

MOST_PARTS = 200
"""Calls of one operator."""


def parts(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Call], dict[str, Any]]:
    """The calls that stand for one, the last under its name, and the values of their inputs by name.

    `args` and `kwargs` are the call's with all values looked up. Empty where torch has no smaller operators.
    """
    op = operator(call.target)
    if op is None:
        return [], {}
    leaves, spec = tree_flatten((args, kwargs))
    places = [place for place, item in enumerate(leaves) if isinstance(item, Value | torch.Tensor)]

    def run(*tensors: torch.Tensor) -> Any:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        given, named = tree_unflatten(filled, spec)
        return op(*given, **named)

    examples = [_example(leaves[place]) for place in places]
    try:
        from torch.fx.experimental.proxy_tensor import make_fx  # slow to load, and seldom needed

        table = {op: _table()[op]} if op in _table() else {}
        with torch.no_grad():
            traced = make_fx(run, decomposition_table=table, tracing_mode="fake")(*examples)
    except Exception:  # noqa: BLE001 - whatever torch can't trace has no parts
        return [], {}
    nodes = [node for node in traced.graph.nodes if node.op == "call_function"]
    if any(node.op == "get_attr" for node in traced.graph.nodes) or not 0 < len(nodes) <= MOST_PARTS:
        return [], {}
    if any(str(node.target) == call.target for node in nodes):
        return [], {}
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    names = {node: f"{call.name}.{node.name}" for node in (*inputs, *nodes)}
    values = {names[node]: leaves[place] for node, place in zip(inputs, places, strict=True)}
    return [*(_call(node, names, call) for node in nodes), _last(traced.graph, names, call)], values


@cache
def _table() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions  # slow to load, and seldom needed

    return core_aten_decompositions()


def decomposable(target: str) -> bool:
    """Whether torch defines an operator by smaller ones."""
    op = operator(target)
    if op is None:
        return False
    if torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "CompositeImplicitAutograd"):
        return True
    return op in _table()


def _example(item: Value | torch.Tensor) -> torch.Tensor:
    """A tensor of that shape; real numbers are float32, though constants that were folded are float64."""
    kind = torch.float32 if isinstance(item, Value) or item.is_floating_point() else item.dtype
    return torch.empty(item.shape, dtype=kind, device="meta")


def _argument(item: Any, names: dict[Node, str]) -> Any:
    if isinstance(item, Node):
        return Ref(names[item])
    if isinstance(item, list | tuple):
        return type(item)(_argument(part, names) for part in item)
    return item


def _call(node: Node, names: dict[Node, str], call: Call) -> Call:
    target = GETITEM if "getitem" in str(node.target) else str(node.target)
    kwargs = {key: _argument(item, names) for key, item in node.kwargs.items() if key != "device"}
    value = node.meta.get("val")
    shape = tuple(map(int, value.shape)) if isinstance(value, torch.Tensor) else None
    args = tuple(_argument(item, names) for item in node.args)
    return Call(names[node], target, args, kwargs, call.source, shape)


def _last(graph: torch.fx.Graph, names: dict[Node, str], call: Call) -> Call:
    """The result under the call's own name."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    result = _argument(output.args[0], names)
    return Call(call.name, GETITEM, ((result,), 0), {}, call.source, call.shape)
