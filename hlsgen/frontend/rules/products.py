# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors, of which one at least is computed from the image: by head, in any spelling."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.affine import add, mul
from hlsgen.frontend.rules.arrange import lies, matrix, picked, transposed
from hlsgen.frontend.rules.blank import seen
from hlsgen.frontend.rules.grouped import (
    WHOLE,
    Factor,
    aligned,
    by_head,
    heads_in_rows,
    moved,
    rows_in_another_order,
    served,
)
from hlsgen.frontend.rules.layers import linear
from hlsgen.frontend.rules.parts import parts
from hlsgen.frontend.rules.pointwise import folded
from hlsgen.frontend.rules.routing import Gates
from hlsgen.frontend.rules.rule import CallSite, computed, rule
from hlsgen.frontend.rules.talking import Mixed, over_heads, unmixed
from hlsgen.frontend.rules.terms import Refusal, Term, Unknown, Value
from hlsgen.frontend.rules.tokens import settled, source
from hlsgen.frontend.rules.views import stacked
from hlsgen.frontend.rules.windowed import Cut, Picks, collected_values, cut, picks
from hlsgen.ops import Constant, Context, Matmul, Scores, Softmax


def _across(x: Factor) -> Any:
    return moved(x, lambda ids: ids.transpose(-1, -2))


def _tokens(x: Factor) -> Any:
    """[H, T, d] as [T, H*d]."""
    return moved(x, lambda ids: ids.permute(1, 0, 2).reshape(ids.shape[1], -1))


def rows(at: CallSite, x: Factor, role: str) -> Term:
    """The [T, H*d] term of a tensor [H, T, d]; a part of a fused projection is named by its role."""
    value = _tokens(x)
    name = at.name(role)
    if isinstance(value, torch.Tensor):
        numbers = value.detach().double().numpy()
        if not np.isfinite(numbers).all():
            raise Refusal("a learned factor of a product must be finite", intrinsic=True)
        return at.terms.constant(Constant(value=np.array(numbers, order="C")), name, at.call.source)
    return settled(at.terms, folded(at, value), name)


def _alike(x: Factor, y: Factor) -> tuple[Any, Any]:
    """Both with as many heads: one that has a single head is repeated."""
    heads = max(x.shape[0], y.shape[0])
    if {x.shape[0], y.shape[0]} - {1, heads}:
        raise Refusal(f"the factors of a product must have the same heads, not {x.shape[0]} and {y.shape[0]}")
    return tuple(moved(part, lambda ids: ids.expand(heads, -1, -1)) for part in (x, y))


def _without_factor(x: Factor) -> tuple[Factor, float]:
    """The tensor and a factor apart from it, where one number lies on all of it and no constant."""
    if not isinstance(x, Value) or x.offset is not None or isinstance(x.scale, torch.Tensor):
        return x, 1.0
    return Value(x.term, x.ids), x.scale


def _apart(x: Factor, y: Factor) -> tuple[Factor, Any, float]:
    """Both factors of a product, and the positive number that lies on it."""
    left, first = _without_factor(x)
    right, second = _without_factor(y)
    number = first * second
    if not number or not math.isfinite(number):
        raise Refusal(
            f"the factor of a product must be finite and not zero, not {number:g}",
            why="the machine multiplies by a positive number when it rounds",
            fix="leave the product out, or put the factor into a linear layer",
        )
    if number < 0:
        right = right.scaled(-1.0) if isinstance(right, Value) else -right
    return left, right, abs(number)


def scores_of(at: CallSite, query: Factor, key: Factor, lead: tuple[int, ...]) -> Value:
    """query @ key.T of [H, T, d] and [H, S, d], as scores [*lead, T, S]."""
    query, key = _alike(query, key)
    if key.shape[2] != query.shape[2]:
        shapes = f"{tuple(query.shape)} and keys {tuple(key.shape)}"
        raise Refusal(f"queries {shapes} must have the same heads and channels")
    query, key, scale = _apart(query, key)
    key, shared = served(key)
    inputs = rows(at, query, "q"), rows(at, key, "k")
    op = Scores(heads=query.shape[0], scale=scale, shared=shared)
    term = at.terms.make(op, inputs, at.name("scores"), at.call.source)
    return at.terms.value(term, (*lead, query.shape[1], key.shape[1]))


def windowed_scores(at: CallSite, found: Cut) -> Value:
    """query @ key.T of factors that are cut alike, as scores [*lead, T, S]."""
    heads = (found.query.shape[0],)
    return found.scores(scores_of(at, found.query, found.key, heads).term)


def context(at: CallSite, weights: Value, values: Factor, lead: tuple[int, ...]) -> Value:
    """Softmax weights [..., H, T, S] times values [H, S, d], as [*lead, T, d]; both perhaps by windows."""
    weights, seeing = seen(weights)
    if seeing is not None:
        return context(at, weights, values, lead).scaled(seeing.double().expand((*lead, -1, values.shape[2])))
    if (found := picks(weights)) is not None:
        return _of_picks(at, weights, found, values, lead)
    if (order := rows_in_another_order(weights)) is not None:
        return _reordered(at, weights, values, lead, order)
    _whole(weights)
    heads, tokens, _ = weights.term.shape
    shown, each = math.prod(weights.shape[:-2]), values.shape[0]
    shape = (*lead, weights.shape[-2], values.shape[2])
    if 1 < shown == each < heads and heads % shown == 0:  # heads of a group lie side by side, in rows
        values = moved(values, lambda ids: ids.repeat_interleave(heads // shown, 0))
        shown = each = heads
    if heads == 1 and shown == each > 1:
        return _own_rows(at, weights, values).map(lambda ids: ids.reshape(shape))
    merged = each if heads == 1 else 1
    if each > 1 and (shown != heads or each not in (merged, heads)):
        raise Refusal(f"attention of {heads} heads and values of {each} must have the same heads")
    if merged > 1:
        values = moved(values, lambda ids: ids.permute(1, 0, 2).reshape(1, ids.shape[1], -1))
    values = moved(values, lambda ids: ids.expand(heads, -1, -1))
    if isinstance(weights.term.op, Mixed):
        term = unmixed(at, weights, rows(at, values, "v"))
    else:
        values = _times_heads(values, weights)
        values, shared = served(values)
        inputs = weights.term, rows(at, values, "v")
        term = at.terms.make(Context(shared=shared), inputs, at.name("context"), at.call.source)
    ids = torch.arange(term.size).reshape(tokens, heads * merged, -1).permute(1, 0, 2)
    return Value(term, ids.reshape(shape))


def _of_picks(at: CallSite, weights: Value, found: Picks, values: Factor, lead: tuple[int, ...]) -> Value:
    """The context of weights [*lead, T, S] of some keys each, and of values [..., S, d]."""
    if weights.offset is not None and bool(weights.offset.any()):
        raise Refusal("a constant is added to attention weights", why=WHOLE)
    heads, rows, _ = found.shape
    every = collected_values(found, values, tuple(weights.shape[:-2]), weights.shape[-2])
    if isinstance(weights.scale, torch.Tensor):
        factors = found.by_head(weights.scale.expand(weights.shape), "weights")[:, None, None]
        every = every.scaled(factors.expand(every.shape)) if isinstance(every, Value) else every * factors
    elif weights.scale != 1.0:
        every = every.scaled(weights.scale) if isinstance(every, Value) else every * weights.scale
    whole = at.terms.value(weights.term, found.shape)
    result = context(at, whole, every, (heads,))
    shape = (*lead, weights.shape[-2], values.shape[-1])
    return result.map(lambda ids: ids.reshape(heads * rows, -1)[found.rows].reshape(shape))


def _reordered(
    at: CallSite, weights: Value, values: Factor, lead: tuple[int, ...], order: torch.Tensor
) -> Value:
    """The context of weights [..., N, S] whose rows are those of all heads in another order."""
    heads, tokens, keys = weights.term.shape
    shown, each = math.prod(weights.shape[:-2]), values.shape[0]
    if heads % each or each not in (1, shown):
        raise Refusal(f"attention of {heads} heads and values of {each} must have the same heads")
    mine = order.reshape(each, -1) // tokens // (heads // each)
    if not bool((mine == torch.arange(each)[:, None]).all()):
        raise Refusal("attention weights meet values of other heads")
    ordered = weights.map(lambda x: x.reshape(-1, keys)[order.argsort()].reshape(heads, tokens, keys))
    every = moved(values, lambda ids: ids.repeat_interleave(heads // each, 0))
    found = context(at, ordered, every, (heads,))
    shape = (*lead, weights.shape[-2], values.shape[2])
    return found.map(lambda ids: ids.reshape(-1, values.shape[2])[order].reshape(shape))


def _own_rows(at: CallSite, weights: Value, values: Factor) -> Value:
    """Weights [G * T, S] of one head times values [G, S, d], each T rows of them with their own: [G, T, d].

    All rows meet all values; of the transposed product each row keeps its own part.
    """
    count, _, width = values.shape
    merged = moved(values, lambda ids: ids.permute(1, 0, 2).reshape(1, ids.shape[1], -1))
    tokens = weights.term.shape[1]
    whole = weights.map(lambda x: x.reshape(1, tokens, -1))
    term = context(at, whole, merged, (1,)).term
    across = transposed(at.terms, term, count)
    mine = np.arange(tokens) // (tokens // count) * tokens + np.arange(tokens)
    kept = picked(at.terms, across, mine, None, at.name("own"))
    return Value(kept, torch.arange(kept.size).reshape(width, count, -1).permute(1, 2, 0))


def _whole(weights: Value) -> None:
    """Refuse anything but all weights in order, perhaps times a factor per head."""
    if weights.offset is not None and not isinstance(weights.term.op, Mixed):
        raise Refusal("a constant is added to attention weights", why=WHOLE)
    if not torch.equal(weights.ids.flatten(), torch.arange(weights.term.size)):
        raise Refusal("attention weights are cut or reordered")


def _times_heads(values: Factor, weights: Value) -> Factor:
    """Values times the factor that lies on the weights of each head."""
    factors = torch.as_tensor(weights.scale, dtype=torch.float64).expand(weights.shape)
    factors = factors.reshape(weights.term.shape[0], -1)
    if not bool((factors == factors[:, :1]).all()):
        raise Refusal(
            "attention weights have a factor that is not the same for all tokens of a head",
            why="a factor of a head becomes part of the value projection",
        )
    if bool((factors == 1.0).all()):
        return values
    each = factors[:, 0, None, None].expand(tuple(values.shape))
    return values.scaled(each) if isinstance(values, Value) else values * each


def _lies(at: CallSite, x: Factor) -> bool:
    """Whether [H, T, d] are rows of one term as they are."""
    if isinstance(x, torch.Tensor):
        return True
    try:
        value = source(at.terms, _tokens(x))
    except Refusal:
        return False
    return lies(value.ids, value.term.shape[-1])


def product(at: CallSite, left: Factor, right: Factor, lead: tuple[int, ...]) -> Value:
    """left @ right of [H, T, k] and [H, k, S], as [*lead, T, S]."""
    heads, groups = left.shape[0], heads_in_rows(left)
    if groups > 1 and right.shape[0] in (1, heads):
        apart = moved(left, lambda ids: ids.reshape(heads * groups, -1, ids.shape[-1]))
        every = moved(right, lambda ids: ids.expand(heads, -1, -1).repeat_interleave(groups, 0))
        found = product(at, apart, every, (heads * groups,))
        return found.map(lambda ids: ids.reshape(*lead, left.shape[1], -1))
    keys = _across(right)
    if _lies(at, keys):
        return scores_of(at, left, keys, lead)
    if _lies(at, right):
        return _by_values(at, left, right, lead)
    try:
        return scores_of(at, left, keys, lead)
    except Refusal:
        return _by_values(at, left, right, lead)


def _by_values(at: CallSite, left: Factor, right: Factor, lead: tuple[int, ...]) -> Value:
    """left @ right, the right side with its rows as they are."""
    heads = max(left.shape[0], right.shape[0])
    if right.shape[0] == 1 or left.shape[0] not in (1, heads):
        left, right = _alike(left, right)
    left, right, scale = _apart(left, right)
    right, shared = served(right)
    inputs = rows(at, left, "a"), rows(at, right, "b")
    op = Matmul(heads=heads, transposed=False, scale=scale, shared=shared)
    term = at.terms.make(op, inputs, at.name("product"), at.call.source)
    tokens = left.shape[1]
    ids = torch.arange(term.size).reshape(tokens, heads, -1).permute(1, 0, 2)
    return Value(term, ids.reshape(*lead, tokens, right.shape[2]))


@rule("aten.matmul.default", "aten.bmm.default", "aten.mm.default")
def matmul(at: CallSite, x: Any, y: Any) -> Value:
    """Query times key, weights times values, any product of two tensors, or a linear layer."""
    if x.dim() == 1 if isinstance(x, torch.Tensor) else len(x.shape) == 1:
        return matmul(at, moved(x, lambda ids: ids[None]), y).map(lambda ids: ids[..., 0, :])
    if isinstance(x, Value) and isinstance(y, torch.Tensor) and over_heads(x):
        return _by_matrix(at, x, y)
    if isinstance(y, Value) and isinstance(x, torch.Tensor) and over_heads(_across(y)):
        return _from_left(at, x, y)
    if _weighs(y, Gates) and not _weighs(x):
        return _across(matmul(at, _across(y), _across(x)))
    if isinstance(y, torch.Tensor) and not _weighs(x):
        return _by_matrix(at, computed(x, "the left factor"), y)
    if isinstance(x, torch.Tensor):
        return _of_constant(at, x, computed(y, "the right factor"))
    if isinstance(x.term.op, Gates):
        return _gated(at, x, computed(y, "the right factor"))
    if any(isinstance(part, Value) and isinstance(part.term.op, Unknown) for part in (x, y)):
        raise Refusal("a factor is unknown")
    lead = tuple(torch.broadcast_shapes(x.shape[:-2], tuple(y.shape[:-2])))
    return _product_of_two(at, x, y, lead)


def _product_of_two(at: CallSite, x: Value, y: Any, lead: tuple[int, ...]) -> Value:
    """Softmax weights times values, or any other product of two tensors, perhaps by windows."""
    if _weighs(x) and picks(x) is not None:
        return context(at, x, y, lead)
    if not _weighs(x) and (found := cut(x, _across(y))) is not None:
        return windowed_scores(at, found)
    x, y = aligned(x, y)
    right = by_head(y, "the right factor")
    if _weighs(x):
        return context(at, x, right, lead)
    return product(at, by_head(x, "the left factor"), right, lead)


def _weighs(x: Any, *others: type) -> bool:
    """Whether a factor is softmax weights, or of another kind."""
    return isinstance(x, Value) and isinstance(x.term.op, (Softmax, Mixed, *others))


def _of_constant(at: CallSite, x: torch.Tensor, y: Value) -> Value:
    """A learned left side: queries of keys, a matrix that mixes tokens, or a linear layer from the left."""
    if isinstance(y.term.op, Unknown):
        raise Refusal("a factor is unknown")
    if y.term is at.image or len(y.shape) == 1 or math.prod(y.shape[:-3]) != 1:
        return _from_left(at, x, y)
    lead = tuple(torch.broadcast_shapes(tuple(x.shape[:-2]), y.shape[:-2]))
    right = by_head(y, "the right factor")
    across = matrix(_across(y))
    if math.prod(x.shape[:-2]) != 1 or right.shape[0] == 1:
        try:
            return product(at, by_head(x, "the left factor"), right, lead)
        except Refusal:
            if math.prod(x.shape[:-2]) != 1 or parts(across) is None:
                raise
            return _from_left(at, x, y)
    if lies(across.ids, across.term.shape[-1]):
        return _from_left(at, x, y)
    heads, _, width = right.shape
    every = moved(right, lambda ids: ids.permute(1, 0, 2).reshape(1, ids.shape[1], -1))
    found = product(at, x.reshape(1, *x.shape[-2:]), every, (1,))
    return found.map(lambda ids: ids.reshape(-1, heads, width).permute(1, 0, 2).reshape(*lead, -1, width))


def _from_left(at: CallSite, x: torch.Tensor, y: Value) -> Value:
    """x @ y as (y.T @ x.T).T: a linear layer."""
    if len(y.shape) == 1:
        return _by_matrix(at, y, _across(x))
    return _across(_by_matrix(at, _across(y), _across(x)))


def _gated(at: CallSite, gates: Value, results: Value) -> Value:
    """Dense gates times the experts' results: their sum, expert by expert."""
    parts = (
        mul(
            at,
            gates.map(lambda ids, i=i: ids[..., i, None]),
            results.map(lambda ids, i=i: ids[..., i, None, :]),
        )
        for i in range(gates.shape[-1])
    )
    return functools.reduce(lambda total, part: add(at, total, part), parts)


def _by_matrix(at: CallSite, x: Value, matrix: torch.Tensor) -> Value:
    """The product with a constant matrix, or with one for each of the leading indices."""
    if matrix.dim() == 1:
        return linear(at, x, matrix[None]).map(lambda ids: ids[..., 0])
    lead = tuple(torch.broadcast_shapes(x.shape[:-2], tuple(matrix.shape[:-2])))
    if math.prod(matrix.shape[:-2]) == 1:
        result = linear(at, x, matrix.reshape(matrix.shape[-2:]).T)
        return result.map(lambda ids: ids.reshape(*lead, *ids.shape[-2:])) if lead else result
    count = math.prod(lead)
    rows = x.expand((*lead, *x.shape[-2:])).map(lambda ids: ids.reshape(count, *x.shape[-2:]))
    matrices = matrix.expand(*lead, *matrix.shape[-2:]).reshape(count, *matrix.shape[-2:])
    parts = [linear(at, rows.map(lambda ids, i=i: ids[i]), matrices[i].T) for i in range(count)]
    joined = stacked(at, parts)
    return joined.map(lambda ids: ids.reshape(*lead, *ids.shape[-2:]))
