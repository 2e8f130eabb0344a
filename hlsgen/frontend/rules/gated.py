# SPDX-License-Identifier: Apache-2.0
"""A residual stream plus gated experts: the routing, both layers of all experts, and the combination."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from hlsgen.frontend.rules.routing import SIGMOIDS_OVER_SUM, Gated, Gates, Mask
from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.terms import Refusal, Term
from hlsgen.ops import Activation, Combine, ExpertLinear, Linear, Route
from hlsgen.ops.route import CONVENTIONS

_SHAPE = "an expert must be two linear layers with an activation between, on the tokens of the router"
_LOG_SIGMOID = "sub(min(x, 0.0), log1p(exp(sub(0.0, abs(x)))))"


def combined(at: CallSite, stream: Term, branches: list[Term]) -> Term:
    """The stream plus gated experts: a mixture for each routing."""
    for dense in dict.fromkeys(branch.inputs[1] for branch in branches):
        mine = [branch for branch in branches if branch.inputs[1] is dense]
        stream = _mixture(at, stream, dense, mine)
    return stream


def _mixture(at: CallSite, stream: Term, dense: Term, branches: list[Term]) -> Term:
    """The stream plus the experts of one routing."""
    op, logits = dense.op, dense.inputs[0]
    experts = _experts(op, branches)
    if not isinstance(op, Gates | Mask) or op.convention not in (*CONVENTIONS, SIGMOIDS_OVER_SUM):
        raise Refusal("experts are multiplied by what are no gates", why=_SHAPE)
    x, function, first, second = _layers(list(experts.values()), logits.shape[-1], list(experts))

    def make(op: Any, inputs: tuple[Term, ...], role: str) -> Term:
        return at.terms.make(op, inputs, at.name(role), at.call.source)

    convention = op.convention
    if convention == SIGMOIDS_OVER_SUM:
        logits, convention = _log_sigmoids(make, logits), "softmax_topk"
    route = make(Route(k=op.k, convention=convention), (logits,), "route")
    hidden = make(first, (x, route), "fc1")
    results = make(second, (make(Activation(function=function), (hidden,), function), route), "fc2")
    return make(Combine(), (stream, results, route), "combine")


def _log_sigmoids(make: Callable[..., Term], logits: Term) -> Term:
    """Logits whose exponentials are the sigmoids of the router's: the same order, and the gates by softmax.

    There are as many columns between as tokens have: on the machine, rows of a router and of its experts
    lie equally far apart.
    """
    layer, (count, width) = logits.op, (logits.shape[-1], logits.inputs[0].shape[-1])
    assert isinstance(layer, Linear)
    wide = max(count, width)
    weight, bias = np.zeros((wide, width)), np.zeros(wide)
    weight[:count], bias[:count] = layer.weight, layer.bias
    inner = make(Linear(weight=weight, bias=bias), logits.inputs, "sigmoid_router")
    active = make(Activation(function=_LOG_SIGMOID), (inner,), "log_sigmoid")
    return make(Linear(weight=np.eye(count, wide), bias=np.zeros(count)), (active,), "log_router")


def _experts(op: Any, branches: list[Term]) -> dict[int, Term]:
    """The experts by number; one that is added choice by choice must be there for all of them."""
    found: dict[tuple[int, int | None], Term] = {}
    for branch in branches:
        if isinstance(branch.op, Gated):
            key = branch.op.expert, branch.op.slot
            if key in found:
                raise Refusal(f"expert {key[0]} is added twice")
            found[key] = branch.inputs[0]
    experts: dict[int, Term] = {}
    for number, slot in found:
        mine = [term for (expert, _), term in found.items() if expert == number]
        if slot is not None and (len(mine) != op.k or not all(_alike(mine[0], term) for term in mine)):
            raise Refusal(f"expert {number} differs from one of a token's choices to the next", why=_SHAPE)
        experts.setdefault(number, mine[0])
    return experts


def _alike(a: Term, b: Term) -> bool:
    """Whether two terms are the same layers on the same tokens."""
    if a is b:
        return True
    if type(a.op) is not type(b.op) or not isinstance(a.op, Linear | Activation):
        return False
    fields = [field.name for field in dataclasses.fields(a.op)]
    same = all(np.array_equal(getattr(a.op, name), getattr(b.op, name)) for name in fields)
    return same and all(_alike(x, y) for x, y in zip(a.inputs, b.inputs, strict=True))


def _layers(experts: list[Term], count: int, numbers: list[int]) -> tuple[Term, str, Any, Any]:
    """The tokens, the activation and both layers of all experts; one that is missing gives zeros."""
    parts: list[tuple[Linear, Linear]] = []
    common: set[tuple[Term, str]] = set()
    for term in experts:
        active = term.inputs[0] if isinstance(term.op, Linear) else None
        inner = active.inputs[0] if active is not None and isinstance(active.op, Activation) else None
        if inner is None or not isinstance(inner.op, Linear) or inner.is_embedding:
            raise Refusal("an expert has another shape than the machine's", why=_SHAPE)
        common.add((inner.inputs[0], active.op.function))  # type: ignore[union-attr]
        parts.append((inner.op, term.op))  # type: ignore[arg-type]
    if len(common) != 1:
        raise Refusal("experts read different tokens, or have different activations", why=_SHAPE)
    ((x, function),) = common
    hidden = max(len(first.weight) for first, _ in parts)
    width = len(parts[0][1].weight)
    w1, b1 = np.zeros((count, hidden, x.shape[-1])), np.zeros((count, hidden))
    w2, b2 = np.zeros((count, width, hidden)), np.zeros((count, width))
    for number, (first, second) in zip(numbers, parts, strict=True):
        size = len(first.weight)
        w1[number, :size], b1[number, :size] = first.weight, first.bias
        w2[number, :, :size], b2[number] = second.weight, second.bias
    return x, function, ExpertLinear(weight=w1, bias=b1), ExpertLinear(weight=w2, bias=b2)
