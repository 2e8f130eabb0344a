# SPDX-License-Identifier: Apache-2.0
"""The rule for `hlsgen.nn.MoE`: routers, routing, both layers of the experts."""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.rules.rule import CallSite, array, computed, floats, rule
from hlsgen.frontend.rules.terms import Mixture, Refusal, Task, Term, Value
from hlsgen.ops import Activation, Choose, ExpertLinear, Linear, Route


@rule("hlsgen.moe.default")
def moe(
    at: CallSite,
    x: Any,
    router_weight: Any,
    router_bias: Any,
    fc1_weight: Any,
    fc1_bias: Any,
    fc2_weight: Any,
    fc2_bias: Any,
    task: Any,
    k: int,
    convention: str,
    activation: str,
) -> Value:
    """A mixture of experts, which `add` joins to the residual stream."""
    x = computed(x, "the experts' input")
    tokens = at.settle(x)
    weight = floats(router_weight, "the router's weight")
    bias = torch.zeros(weight.shape[:2]) if router_bias is None else floats(router_bias, "the router's bias")
    logits = _routers(at, tokens, weight, bias, task)
    route = _make(at, Route(k=k, convention=convention), (logits,), "route")
    first = ExpertLinear(
        weight=array(floats(fc1_weight, "fc1_weight")), bias=array(floats(fc1_bias, "fc1_bias"))
    )
    second = ExpertLinear(
        weight=array(floats(fc2_weight, "fc2_weight")), bias=array(floats(fc2_bias, "fc2_bias"))
    )
    hidden = _make(at, first, (tokens, route), "fc1")
    active = _make(at, Activation(function=activation), (hidden,), activation)
    results = _make(at, second, (active, route), "fc2")
    mixed = _make(at, Mixture(), (results, route), "mixture")
    return at.terms.value(mixed, x.shape)


def _make(at: CallSite, op: Any, inputs: tuple[Term, ...], role: str) -> Term:
    return at.terms.make(op, inputs, at.name(role), at.call.source)


def _routers(at: CallSite, tokens: Term, weight: torch.Tensor, bias: torch.Tensor, task: Any) -> Term:
    """The logits: of the only router, or of the task's."""
    if isinstance(task, torch.Tensor):
        index = int(task)
        weight, bias, task = weight[index : index + 1], bias[index : index + 1], None
    many = len(weight) > 1
    if many and not isinstance(task, Task):
        raise Refusal(
            "the task must be an input of the model",
            why=f"there are {len(weight)} routers, and the machine chooses one when it is started",
            fix="pass the model's second argument, an integer scalar tensor, to the experts as it is",
        )
    routers = [
        _make(at, Linear(weight=array(w), bias=array(b)), (tokens,), f"router_{i}" if many else "router")
        for i, (w, b) in enumerate(zip(weight, bias, strict=True))
    ]
    return _make(at, Choose(), tuple(routers), "router") if many else routers[0]
