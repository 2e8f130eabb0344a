# SPDX-License-Identifier: Apache-2.0
"""Rules for routing that is written out."""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.rules.affine import add
from hlsgen.frontend.rules.dispatch import TOKEN, Picked, apart, at_picked, everywhere, picked, searched
from hlsgen.frontend.rules.routing import (
    THREE_WAYS,
    Best,
    Chance,
    Gates,
    Index,
    chosen,
    compared,
    made,
    summed,
)
from hlsgen.frontend.rules.rule import CallSite, computed, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.views import view
from hlsgen.frontend.rules.writes import once, put


def chances(at: CallSite, x: Value) -> Value:
    """The softmax over a router's logits; whoever else reads it is refused."""
    logits = at.settle(x)
    term = made(at.terms, Chance(), logits, logits.shape, at.call.source)
    return at.terms.value(term, x.shape)


@rule("aten.topk.default")
def topk(
    at: CallSite, x: Value, k: int, dim: int = -1, largest: bool = True, _: bool = True
) -> tuple[Value, Any]:
    """The k best experts, in any order."""
    if x.shape[dim] == k == 1:  # the only one, whatever it is
        return x, torch.zeros(x.shape, dtype=torch.int64)
    if dim % len(x.shape) != len(x.shape) - 1 or not largest:
        what = "the best experts must be the largest along the last axis"
        raise Refusal(what, why="the machine chooses experts for each token", fix=THREE_WAYS)
    return chosen(at, x, k)


@rule("aten.max.dim")
def best(at: CallSite, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Any]:
    """The best expert."""
    if dim % len(x.shape) != len(x.shape) - 1 and x.shape[dim] > 1:
        raise Refusal(
            "tokens are pooled by their largest elements",
            why="the machine can average tokens; it has no maximum of several",
        )
    gates, index = topk(at, x, 1, dim)
    if keepdim:
        return gates, index
    without = (
        index.select(dim, 0) if isinstance(index, torch.Tensor) else index.map(lambda i: i.select(dim, 0))
    )
    return gates.map(lambda ids: ids.select(dim, 0)), without


@rule("aten.argmax.default")
def argmax(at: CallSite, x: Value, dim: int | None = None, keepdim: bool = False) -> Any:
    """The best expert's number."""
    if dim is None:
        raise Refusal("the largest of all elements is chosen", why="the machine chooses experts by token")
    return best(at, x, dim, keepdim)[1]


@rule("aten.scatter.src", "aten.scatter_add.default")
def scatter(at: CallSite, zeros: Any, dim: int, index: Any, source: Any) -> Value:
    """Gates of the chosen, in zeros: dense gates; logits of the chosen, in minus infinity, are none yet."""
    hidden = isinstance(zeros, torch.Tensor) and bool((zeros == float("-inf")).all())
    if not hidden:
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
        or index.shape[-1] != op.op.k
        or not torch.equal(index.ids % op.op.k, torch.arange(op.op.k).expand(index.shape))
        or dim % len(index.shape) != len(index.shape) - 1
        or tuple(zeros.shape) != (*index.shape[:-1], op.inputs[0].shape[-1])
        or (hidden and (by.op.convention != "logits" or source.factor() != 1.0))
        or source.offset is not None
    ):
        raise Refusal("what is scattered are not the gates of chosen experts")
    rows = index.ids[..., :1] // op.shape[-1]
    experts = op.inputs[0].shape[-1]
    convention = "hidden" if hidden else by.op.convention
    dense = made(at.terms, Gates(by.op.k, convention), op.inputs[0], op.inputs[0].shape, at.call.source)
    return Value(dense, rows * experts + torch.arange(experts), source.factor())


@rule("aten.scatter.value")
def scatter_value(at: CallSite, zeros: Any, dim: int, index: Any, value: float) -> Value:
    """A mask of the chosen."""
    _check_zeros(zeros)
    last = isinstance(index, Value) and dim % len(index.shape) == len(index.shape) - 1
    if value != 1 or not last or tuple(zeros.shape[:-1]) != index.shape[:-1]:
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
    if not isinstance(index, Value) or not isinstance(index.term.op, Index):
        raise Refusal("elements are chosen by what the image holds")
    gates, chosen_here = topk(at, computed(x, "the tensor"), index.term.op.k, dim)
    if chosen_here.term is not index.term or not torch.equal(chosen_here.ids, index.ids):
        raise Refusal("gates are gathered by another choice than their own")
    return gates


@rule("aten.where.default")
def where_chosen(at: CallSite, mask: Value) -> tuple[Picked, ...]:
    """The tokens of an expert, and which of their choices it is."""
    return picked(at, mask)


@rule("aten.index.Tensor")
def index_of(at: CallSite, x: Any, indices: list[Any]) -> Any:
    """An expert's tokens or gates, or elements by constant indices."""
    indices = [part for item in indices for part in searched(at, item)]
    if any(isinstance(item, Picked) for item in indices):
        if any(not isinstance(item, Picked | None) for item in indices):
            raise Refusal("elements are chosen by what the image holds")
        return at_picked(at, x, indices)
    if isinstance(x, torch.Tensor) and any(isinstance(item, Value) for item in indices):
        raise Refusal(
            "weights of experts are gathered for each token",
            why="the machine reads an expert's weights once, for all tokens that chose it",
            fix=THREE_WAYS,
        )
    return view(at, x, indices)


@rule("aten.index_add.default")
def index_add(at: CallSite, x: Any, dim: int, where: Any, source: Any, *, alpha: float = 1) -> Value:
    """An expert's gated results, added to its tokens."""
    (where,) = searched(at, where)
    if dim or not isinstance(where, Picked) or where.role != TOKEN or not isinstance(source, Value):
        raise Refusal(
            "results are added at places that the image decides",
            why="an expert's results are added to the tokens that chose it",
        )
    return add(at, x, everywhere(at, source, where).scaled(float(alpha)))


@rule("aten.index_put.default")
def index_put(at: CallSite, x: Any, indices: list[Any], source: Any, accumulate: bool = False) -> Value:
    """An expert's results, put where nothing is yet, or added to what is there; rows at constant places."""
    index = [slice(None) if item is None else item for item in indices]
    if all(item is None or isinstance(item, torch.Tensor) for item in indices):
        if accumulate:
            nothing = torch.zeros(tuple(x.shape))
            return add(at, x, put(at, nothing, source, once(lambda ids: ids[tuple(index)])))
        return put(at, x, source, lambda ids: ids[tuple(index)])
    indices = [part for item in indices for part in searched(at, item)]
    tokens = [item for item in indices if isinstance(item, Picked) and item.role == TOKEN]
    axes = tuple(x.shape[: len(indices)])
    others = [size for item, size in zip(indices, axes, strict=True) if item not in tokens]
    if len(tokens) != 1 or any(size != 1 for size in others) or not isinstance(source, Value):
        raise Refusal(
            "results are put at places that the image decides",
            why="an expert's results are added to the tokens that chose it",
            fix=THREE_WAYS,
        )
    mine = everywhere(at, source, tokens[0])
    if not accumulate and not apart(x, mine.term):
        raise Refusal("an expert's results are put where others may be", fix=THREE_WAYS)
    return add(at, x, mine.map(lambda ids: ids.reshape(x.shape)))
