# SPDX-License-Identifier: Apache-2.0
"""Rules for attention: one operator, or matmul, scale, softmax, matmul in any spelling."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from hlsgen.frontend.rules.added_scores import widened
from hlsgen.frontend.rules.experts import chances
from hlsgen.frontend.rules.grouped import by_head, moved
from hlsgen.frontend.rules.masks import causal, with_mask
from hlsgen.frontend.rules.products import context, scores_of, windowed_scores
from hlsgen.frontend.rules.routing import THREE_WAYS, Best, Gates, of_hidden, other, whole
from hlsgen.frontend.rules.rule import CallSite, constant, rule
from hlsgen.frontend.rules.scores import scorable, scored
from hlsgen.frontend.rules.terms import Refusal, Term, Unknown, Value
from hlsgen.frontend.rules.windowed import cut, picks
from hlsgen.ops import Context, Linear, Matmul, Scores, Softmax

_ROUNDED = 2.0**-22
"""Relative error of a product of two numbers that were rounded to float32, at most."""


@rule("aten.scaled_dot_product_attention.default")
def attention(
    at: CallSite,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Scores, softmax and context."""
    if dropout_p:
        what = f"attention dropout must be 0, not {dropout_p!r}"
        raise Refusal(what, why="dropout is random", fix="pass dropout_p only in training", intrinsic=True)
    if not any(isinstance(x, Value) for x in (query, key)):
        raise Refusal(
            "query or key must be computed from the image, not both learned",
            why="the weights would be the same for every image",
            fix="compute them outside the model, and multiply the values by that matrix",
        )
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if (found := cut(query, key)) is not None:
        scores = windowed_scores(at, found).scaled(factor)
        return _weighted(at, _masked(at, scores, attn_mask, is_causal), value, found.lead)
    q, k, v = (by_head(x, n) for x, n in ((query, "query"), (key, "key"), (value, "value")))
    if enable_gqa and k.shape[0] != q.shape[0] and q.shape[0] % k.shape[0] == 0:
        groups = q.shape[0] // k.shape[0]
        k, v = (moved(x, lambda ids: ids.repeat_interleave(groups, 0)) for x in (k, v))
    shared = enable_gqa and len(key.shape) > 2 and key.shape[-3] != 1
    before = query if shared else key
    lead = tuple(torch.broadcast_shapes(tuple(query.shape[:-2]), tuple(before.shape[:-2])))
    lead = (*lead[:-1], q.shape[0]) if lead else ()
    scores = _masked(at, scores_of(at, q, k, lead).scaled(factor), attn_mask, is_causal)
    return _weighted(at, scores, v, lead)


def _masked(at: CallSite, scores: Value, mask: Any, is_causal: bool) -> Value:
    """Scores with what hides keys of them."""
    if is_causal:
        scores = with_mask(scores, causal(*scores.shape[-2:]))
    if mask is None:
        return scores
    if isinstance(mask, Value) and not isinstance(mask.term.op, Scores | Matmul | Unknown):
        return widened(at.terms, scores, mask)
    return with_mask(scores, constant(mask, "the attention mask"))


def _weighted(at: CallSite, scores: Value, values: Any, lead: tuple[int, ...]) -> Value:
    """The context of scores and values."""
    return context(at, _softmax(at, scores), values, lead)


def _softmax(at: CallSite, scores: Value) -> Value:
    """The weights of scores, by windows where these are."""
    term = _with_exact_scale(at, scored(at.terms, scores))
    if picks(scores) is None:
        return at.emit(Softmax(), (term,), at.name("softmax"), scores.shape)
    return Value(at.terms.make(Softmax(), (term,), at.name("softmax"), at.call.source), scores.ids)


@rule("aten.softmax.int", "aten._softmax.default")
def softmax(at: CallSite, x: Value, dim: int, dtype: Any = None) -> Value:
    """Softmax over the keys, on any axis."""
    if dtype not in (None, False, torch.float32):
        raise Refusal(f"softmax must stay float32, not {dtype}")
    last = dim % len(x.shape) == len(x.shape) - 1
    if isinstance(x.term.op, Best) and x.term.op.convention == "logits" and last:
        if not whole(x) or x.shape[-1] != x.term.op.k or x.factor() != 1.0:
            raise Refusal("the softmax must be over all chosen logits, as they are", fix=THREE_WAYS)
        return other(at, x, "softmax_topk")
    if isinstance(x.term.op, Gates) and last and x.shape[-1] == x.term.shape[-1]:
        return of_hidden(at, x, "softmax")
    if at.routed and last and isinstance(x.term.op, Linear) and len(x.term.shape) == 2:
        return chances(at, x)
    keys = x.map(lambda ids: ids.movedim(dim, -1))
    if not scorable(keys):
        raise Refusal(
            "softmax is only supported on attention scores",
            why="it is computed between the query-key and the value product",
            fix=THREE_WAYS
            if at.routed
            else "leave out a softmax over classes: the largest logit is the same class",
        )
    value = _softmax(at, keys)
    return value.map(lambda ids: ids.movedim(-1, dim))


def _with_exact_scale(at: CallSite, scores: Term) -> Term:
    """Scores whose scale is 1/sqrt(d) but for a rounding to float32, with 1/sqrt(d) itself.

    Models and ONNX files hold the scale, or its root on queries and keys, as a float32.
    """
    op = scores.op
    if not isinstance(op, Scores):
        return scores
    exact = 1 / math.sqrt(scores.inputs[0].shape[-1] // op.heads)
    if op.scale == exact or abs(op.scale / exact - 1) > _ROUNDED:
        return scores
    return at.terms.make(dataclasses.replace(op, scale=exact), scores.inputs, scores.name, scores.source)


@rule("aten.isnan.default")
def is_nan(_: CallSite, x: Value) -> torch.Tensor:
    """Nowhere: the machine's weights of a query that sees no key are zeros."""
    _check_weights(x)
    return torch.zeros(x.shape, dtype=torch.bool)


def _check_weights(x: Value) -> None:
    if not isinstance(x.term.op, Softmax | Context):
        raise Refusal(
            "only attention weights, or what they make of values, may hold numbers that are none",
            why="the machine makes zeros of a query that sees no key, and all its other numbers are finite",
            fix="leave it out, or put zeros in place of the weights",
        )


@rule("aten.nan_to_num.default")
def without_nan(_: CallSite, x: Value, nan: float | None = None, *__: Any) -> Value:
    """Nothing: the machine's weights of a query that sees no key are zeros."""
    _check_weights(x)
    if nan:
        raise Refusal(
            f"a query that sees no key must give zeros, not {nan:g}", fix="use nan_to_num without it"
        )
    return x
