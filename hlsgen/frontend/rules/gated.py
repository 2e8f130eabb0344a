# SPDX-License-Identifier: Apache-2.0
"""A residual stream plus gated experts: the routing, both layers of all experts, and the combination."""

from __future__ import annotations

from typing import Any

import numpy as np

from hlsgen.frontend.rules.routing import Gated, Gates
from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.terms import Refusal, Term
from hlsgen.ops import Activation, Combine, ExpertLinear, Linear, Route

_SHAPE = "an expert must be two linear layers with an activation between, on the tokens of the router"


def combined(at: CallSite, stream: Term, branches: list[Term]) -> Term:
    """The stream plus gated experts: a mixture for each routing."""
    for dense in dict.fromkeys(branch.inputs[1] for branch in branches):
        mine = [branch for branch in branches if branch.inputs[1] is dense]
        stream = _mixture(at, stream, dense, mine)
    return stream


def _mixture(at: CallSite, stream: Term, dense: Term, branches: list[Term]) -> Term:
    """The stream plus the experts of one routing."""
    op, logits = dense.op, dense.inputs[0]
    experts: dict[int, Term] = {}
    for branch in branches:
        if isinstance(branch.op, Gated):
            if branch.op.expert in experts:
                raise Refusal(f"expert {branch.op.expert} is added twice")
            experts[branch.op.expert] = branch.inputs[0]
    if not isinstance(op, Gates) or op.convention in ("one", "logits"):
        raise Refusal("experts are multiplied by what are no gates", why=_SHAPE)
    x, function, first, second = _layers(list(experts.values()), logits.shape[-1], list(experts))

    def make(op: Any, inputs: tuple[Term, ...], role: str) -> Term:
        return at.terms.make(op, inputs, at.name(role), at.call.source)

    route = make(Route(k=op.k, convention=op.convention), (logits,), "route")
    hidden = make(first, (x, route), "fc1")
    results = make(second, (make(Activation(function=function), (hidden,), function), route), "fc2")
    return make(Combine(), (stream, results, route), "combine")


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
