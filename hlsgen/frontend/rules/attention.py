# SPDX-License-Identifier: Apache-2.0
"""Rules for attention: one operator, or matmul, scale, softmax, matmul in any spelling."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from hlsgen.frontend.rules.aten import linear
from hlsgen.frontend.rules.rule import CallSite, computed, constant, rule
from hlsgen.frontend.rules.terms import Refusal, Term, Unknown, Value
from hlsgen.ops import Context, Scores, Softmax

_ROUNDED = 2.0**-22
"""Relative error of a product of two numbers that were rounded to float32, at most."""
_MASK = "every token attends to every token on the machine"


def _heads(value: Value, what: str) -> Value:
    """The value as [H, T, d]."""
    shape = value.shape
    if len(shape) < 2 or math.prod(shape[:-3]) != 1:
        why = "all tokens of the image attend to each other at once: there is no attention within windows"
        raise Refusal(f"{what} must be [1, heads, tokens, channels], not {list(shape)}", why=why)
    return value.map(lambda x: x.reshape(-1, *shape[-2:]))


def _merged(at: CallSite, value: Value, role: str) -> Term:
    """The [T, H*d] term behind a value [H, T, d]; a part of a fused projection is named by its role."""
    rows = value.map(lambda x: x.permute(1, 0, 2).reshape(x.shape[1], -1))
    return at.settle(rows, at.name(role))


def _scores(at: CallSite, query: Value, key: Value) -> tuple[Term, Term, int, float]:
    """Query and key terms, heads and the scale that lies on them."""
    heads = query.shape[0]
    if key.shape[0] == 1 and heads > 1:
        key = key.map(lambda x: x.expand(heads, -1, -1))
    if key.shape[0] != heads or key.shape[2] != query.shape[2]:
        raise Refusal(f"queries {query.shape} and keys {key.shape} must have the same heads and channels")
    if query.offset is None and key.offset is None:
        scale = query.scale * key.scale
        query, key = (Value(value.term, value.ids) for value in (query, key))
    else:
        scale = 1.0
    return _merged(at, query, "q"), _merged(at, key, "k"), heads, scale


def _context(at: CallSite, weights: Term, value: Value, v: Term, lead: tuple[int, ...]) -> Value:
    """softmax @ v as a value of shape [*lead, H, T, d]."""
    heads, tokens, _ = weights.shape
    width = value.shape[2]
    term = at.terms.make(Context(), (weights, v), at.name("context"), at.call.source)
    ids = torch.arange(tokens * heads * width).reshape(tokens, heads, width).permute(1, 0, 2)
    return Value(term, ids.reshape(*lead, tokens, width))


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
    if is_causal:
        what = "causal attention is not supported"
        raise Refusal(what, why=_MASK, fix="pass is_causal=False", intrinsic=True)
    if attn_mask is not None:
        _check_mask(attn_mask)
    names = ("query", "key", "value")
    q, k, v = (_heads(computed(x, n), n) for x, n in zip((query, key, value), names, strict=True))
    if enable_gqa and k.shape[0] != q.shape[0] and q.shape[0] % k.shape[0] == 0:
        groups = q.shape[0] // k.shape[0]
        k, v = (x.map(lambda ids: ids.repeat_interleave(groups, 0)) for x in (k, v))
    factor = 1 / math.sqrt(q.shape[2]) if scale is None else float(scale)
    q_term, k_term, heads, inner = _scores(at, q, k)
    v_term = _merged(at, v, "v")
    scores = _make_scores(at, q_term, k_term, heads, factor * inner)
    weights = at.terms.make(Softmax(), (scores,), at.name("softmax"), at.call.source)
    return _context(at, weights, v, v_term, query.shape[:-2])


def _check_mask(mask: Any) -> None:
    mask = constant(mask, "the attention mask")
    if bool((~mask).any() if mask.dtype is torch.bool else mask.any()):
        raise Refusal("an attention mask that hides or biases something is not supported", why=_MASK)


def _make_scores(at: CallSite, q: Term, k: Term, heads: int, scale: float) -> Term:
    op = Scores(heads=heads, scale=scale)
    return at.terms.make(op, (q, k), at.name("scores"), at.call.source)


@rule("aten.matmul.default", "aten.bmm.default", "aten.mm.default")
def matmul(at: CallSite, x: Any, y: Any) -> Value:
    """Query times key, softmax times value, or a linear layer with a constant matrix."""
    if isinstance(y, torch.Tensor):
        if y.dim() != 2:
            raise Refusal(f"a constant factor of a product must be a matrix, not {list(y.shape)}")
        return linear(at, x, y.T)
    left, right = computed(x, "the left factor"), computed(y, "the right factor")
    if isinstance(left.term.op, Unknown) or isinstance(right.term.op, Unknown):
        raise Refusal("a factor is unknown")
    lead = left.shape[:-2]
    a, b = _heads(left, "the left factor"), _heads(right, "the right factor")
    if isinstance(a.term.op, Softmax):
        _whole(a, "attention weights")
        if b.shape[0] == 1 and a.shape[0] > 1:
            b = b.map(lambda ids: ids.expand(a.shape[0], -1, -1))
        return _context(at, at.terms.scaled(a.term, a.scale), b, _merged(at, b, "v"), lead)
    q, k, heads, scale = _scores(at, a, b.map(lambda ids: ids.transpose(1, 2)))
    return at.terms.value(_make_scores(at, q, k, heads, scale), (*lead, *a.shape[1:2], b.shape[2]))


def _whole(value: Value, what: str) -> None:
    """Refuse anything but the term's own elements in order."""
    if value.offset is not None:
        raise Refusal(f"a constant is added to {what}", why=_MASK)
    if not torch.equal(value.ids.flatten(), torch.arange(value.term.size)):
        raise Refusal(f"{what} are cut or reordered")


@rule("aten.softmax.int")
def softmax(at: CallSite, x: Value, dim: int, dtype: Any = None) -> Value:
    """Softmax over the keys."""
    if dtype not in (None, torch.float32):
        raise Refusal(f"softmax must stay float32, not {dtype}")
    if not isinstance(x.term.op, Scores):
        raise Refusal(
            "softmax is only supported on attention scores",
            why="it is computed between the query-key and the value product",
            fix="leave out a softmax over classes: the largest logit is the same class",
        )
    if dim % len(x.shape) != len(x.shape) - 1:
        raise Refusal(f"softmax must be over the last axis (the keys), not over axis {dim}")
    _whole(x, "attention scores")
    scores = _with_exact_scale(at, at.terms.scaled(x.term, x.scale))
    return at.emit(Softmax(), (scores,), at.name("softmax"), x.shape)


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
