# SPDX-License-Identifier: Apache-2.0
"""Rules for routing that is written out, and the mixture that a sum of gated experts is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.routing import Best, Chance, Gated, Gates, Index, chosen, compared, made, summed
from hlsgen.frontend.rules.rule import CallSite, rule
from hlsgen.frontend.rules.terms import Refusal, Term, Value
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


def chances(at: CallSite, x: Value) -> Value:
    """The softmax over a router's logits; whoever else reads it is refused."""
    logits = at.settle(x)
    term = made(at.terms, Chance(), logits, logits.shape, at.call.source)
    return at.terms.value(term, x.shape)


@rule("aten.topk.default")
def topk(
    at: CallSite, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Value, Value]:
    """The k best experts."""
    del sorted
    if dim % len(x.shape) != len(x.shape) - 1 or not largest:
        raise Refusal("the best experts must be the largest along the last axis")
    return chosen(at, x, k)


@rule("aten.max.dim")
def best(at: CallSite, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """The best expert."""
    pair = topk(at, x, 1, dim)
    gates, index = pair if keepdim else (part.map(lambda ids: ids[..., 0]) for part in pair)
    return gates, index


@rule("aten.argmax.default")
def argmax(at: CallSite, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The best expert's number."""
    if dim is None:
        raise Refusal("the largest of all elements is chosen", why="the machine chooses experts by token")
    return best(at, x, dim, keepdim)[1]


@rule("aten.scatter.src", "aten.scatter_add.default")
def scatter(at: CallSite, zeros: Any, dim: int, index: Any, source: Any) -> Value:
    """Gates of the chosen, in zeros: dense gates."""
    _check_zeros(zeros)
    op, by = getattr(index, "term", None), getattr(source, "term", None)
    if (
        op is None
        or by is None
        or not isinstance(op.op, Index)
        or not isinstance(by.op, Best)
        or op.inputs != by.inputs
        or op.op.k != by.op.k
        or not torch.equal(index.ids, source.ids)
        or dim % len(index.shape) != len(index.shape) - 1
        or tuple(zeros.shape) != (*index.shape[:-1], op.inputs[0].shape[-1])
    ):
        raise Refusal("what is scattered are not the gates of chosen experts")
    rows = index.ids[..., :1] // op.shape[-1]
    experts = op.inputs[0].shape[-1]
    dense = made(at.terms, Gates(by.op.k, by.op.convention), op.inputs[0], op.inputs[0].shape, at.call.source)
    return Value(dense, rows * experts + torch.arange(experts), source.factor())


@rule("aten.scatter.value")
def scatter_value(at: CallSite, zeros: Any, dim: int, index: Any, value: float) -> Value:
    """A mask of the chosen."""
    _check_zeros(zeros)
    if value != 1 or not isinstance(index, Value) or dim % len(index.shape) != len(index.shape) - 1:
        raise Refusal("what is scattered are not ones at the chosen experts")
    mask = one_hot(at, index, int(zeros.shape[-1]))
    return summed(at, mask, len(mask.shape) - 2, keepdim=False)


def _check_zeros(zeros: Any) -> None:
    if not isinstance(zeros, torch.Tensor) or bool(zeros.any()):
        raise Refusal("gates must be scattered into zeros")


@rule("aten.one_hot.default")
def one_hot(at: CallSite, index: Value, classes: int = -1) -> Value:
    """Ones at the chosen experts."""
    if not isinstance(index.term.op, Index) or classes != index.term.inputs[0].shape[-1]:
        raise Refusal("one_hot of what is no choice of experts")
    return compared(at, index.map(lambda ids: ids[..., None]), torch.arange(classes))


@rule("aten.eq.Scalar", "aten.eq.Tensor")
def equal(at: CallSite, x: Any, y: Any) -> Value:
    """Ones where an expert was chosen."""
    index, expert = (x, y) if isinstance(x, Value) else (y, x)
    return compared(at, index, expert)


@rule("aten.gather.default")
def gather(at: CallSite, x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Value:
    """The gates of the chosen experts, or elements by a constant index."""
    del sparse_grad
    if isinstance(index, torch.Tensor) and isinstance(x, Value):
        return x.map(lambda ids: ids.gather(dim, index))
    found = (
        topk(at, x, index.term.op.k)
        if isinstance(index, Value) and isinstance(index.term.op, Index)
        else None
    )
    if found is None or found[1].term is not index.term or not torch.equal(found[1].ids, index.ids):
        raise Refusal("elements are chosen by what the image holds")
    return found[0]
