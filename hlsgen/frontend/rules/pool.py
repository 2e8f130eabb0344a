# SPDX-License-Identifier: Apache-2.0
"""Rules for means and sums over tokens, and for what does nothing in eval mode."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.affine import add
from hlsgen.frontend.rules.arrange import matrix, of_input, owners, placing, whole_rows
from hlsgen.frontend.rules.routing import Routing, summed
from hlsgen.frontend.rules.rule import CallSite, rule
from hlsgen.frontend.rules.talking import Mixed
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Value
from hlsgen.frontend.rules.tokens import by_column, operand
from hlsgen.ops import Constant, Linear, Mean, Softmax


@rule("aten.dropout.default", "aten.feature_dropout.default")
def dropout(_: CallSite, x: Any, p: float, train: bool) -> Any:
    """Nothing in eval mode."""
    if train and p:
        raise Refusal(
            "dropout must be in eval mode, not in training mode",
            why="training is random",
            fix="call model.eval() first",
            intrinsic=True,
        )
    return x


@rule("aten.mean.dim")
def mean(at: CallSite, x: Value, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The mean over tokens."""
    if dtype not in (None, torch.float32):
        raise Refusal(f"mean must stay float32, not {dtype}")
    axes = sorted({axis % len(x.shape) for axis in (dim if isinstance(dim, list | tuple) else (dim,))})
    if isinstance(x.term.op, Softmax | Mixed):
        raise Refusal("attention weights are averaged", why="they never leave the machine")
    if isinstance(x.term.op, Join):
        return _over_join(at, x, axes, keepdim)
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    tokens = x.map(lambda ids: ids.permute(*axes, *rest).reshape(count, -1))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    if not keepdim:
        shape = tuple(x.shape[axis] for axis in rest)
    try:
        found = operand(at.terms, tokens)
    except Refusal:
        if (several := _averages(at, x, [*rest, *axes], count)) is None:
            raise
        return several.map(lambda ids: ids.reshape(shape))
    term = _averaged(at, found.term)
    columns = range(term.shape[-1]) if found.columns is None else found.columns
    scale = torch.as_tensor(found.scale, dtype=torch.float64)
    value = Value(term, torch.as_tensor(columns)[None], scale if scale.numel() > 1 else float(scale))
    if isinstance(value.scale, torch.Tensor):
        value = Value(term, value.ids, value.scale[None])
    if found.offset is not None:
        value = value.plus(found.offset.mean(0, keepdim=True))
    return value.map(lambda ids: ids.reshape(shape))


def _averages(at: CallSite, x: Value, order: list[int], count: int) -> Value | None:
    """Means of `count` tokens each, perhaps with zeros among them: a product with a matrix; None: of others.

    order: the axes of x, those that are averaged last.
    """
    if len(x.shape) == len(order) and len(x.term.shape) != 2:
        return None
    parts = x.map(lambda ids: ids.permute(*order).reshape(-1, x.shape[order[-1 - 1]], count).movedim(-1, 0))
    if (found := whole_rows(matrix(parts))) is None:
        return None
    tokens, columns = found
    each = by_column(matrix(parts))
    term = parts.term
    if term.is_embedding:
        term = at.settle(at.terms.value(term))
    mixing = placing(tokens, term.shape[0]).value.reshape(count, -1, term.shape[0]).mean(0)
    put = at.terms.product(Constant(value=mixing), term)
    ids = torch.arange(len(mixing))[:, None] * term.shape[-1] + columns
    value = Value(put, ids, torch.as_tensor(each).expand(ids.shape) if isinstance(each, np.ndarray) else each)
    return value if parts.offset is None else value.plus(parts.offset.mean(0))


def _averaged(at: CallSite, term: Term) -> Term:
    """The mean over a term's tokens; that over a linear layer's results is the layer of the mean."""
    if isinstance(term.op, Linear) and not term.is_embedding:
        inner = _averaged(at, term.inputs[0])
        return at.terms.make(term.op, (inner,), term.name, term.source)
    return at.terms.make(Mean(), (term,), at.name("mean"), at.call.source)


def _over_join(at: CallSite, x: Value, axes: list[int], keepdim: bool) -> Value:
    """The mean over an axis along which results of different layers lie: their sum, over their number."""
    if len(axes) != 1:
        raise Refusal("results of different layers are averaged over several axes")
    rows = x.map(lambda ids: ids.movedim(axes[0], 0))
    count, runs = rows.shape[0], _runs(rows)
    factor = 1.0 / count
    total: Any = None
    for owner, mine in runs.items():
        part = rows.map(lambda ids, mine=mine: ids[mine])
        if len(runs) == count:
            found: Any = part.map(lambda ids: ids[0])
        elif owner < 0:
            found = torch.zeros(()) if part.offset is None else part.offset.sum(0) * factor
        else:
            found = _weighed(at, mean(at, of_input(part, owner), 0), len(mine) * factor)
        total = found if total is None else add(at, total, found)
    total = total.scaled(factor) if len(runs) == count else total
    return total.map(lambda ids: ids.unsqueeze(axes[0])) if keepdim else total


def _weighed(at: CallSite, x: Value, factor: float) -> Value:
    """Channels times a number, by a layer: a sum has no factors of its parts."""
    term = at.settle(x.map(lambda ids: ids.reshape(1, -1)))
    size = term.shape[-1]
    op = Linear(weight=np.eye(size) * factor, bias=np.zeros(size))
    return at.terms.value(at.terms.make(op, (term,), at.name("share"), at.call.source), x.shape)


def _runs(rows: Value) -> dict[int, list[int]]:
    """The rows [n, ...] of each joined layer, -1 for constants; each for itself where a row mixes layers."""
    owner = owners(rows).reshape(rows.shape[0], -1)
    first = owner[:, 0].tolist()
    if not bool((owner == owner[:, :1]).all()):
        return {number: [number] for number in range(len(first))}
    return {
        number: [at for at, other in enumerate(first) if other == number] for number in dict.fromkeys(first)
    }


@rule("aten.sum.dim_IntList")
def total(at: CallSite, x: Value, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The sum over tokens: a mean, times their number."""
    if not dim:
        dim = list(range(len(x.shape)))
    if isinstance(x.term.op, Routing):
        (axis,) = dim if isinstance(dim, list | tuple) else (dim,)
        return summed(at, x, axis % len(x.shape), keepdim=keepdim)
    result = mean(at, x, dim, keepdim, dtype=dtype)
    return result.scaled(x.ids.numel() / result.ids.numel())
