# SPDX-License-Identifier: Apache-2.0
"""Rules for attention: one operator, or matmul, scale, softmax, matmul in any spelling."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.affine import add, mul
from hlsgen.frontend.rules.experts import chances
from hlsgen.frontend.rules.layers import linear
from hlsgen.frontend.rules.routing import THREE_WAYS, Best, Gates, other, whole
from hlsgen.frontend.rules.rule import CallSite, array, computed, constant, rule
from hlsgen.frontend.rules.terms import Refusal, Term, Unknown, Value
from hlsgen.frontend.rules.views import stacked
from hlsgen.ops import Context, Linear, Scores, Softmax

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
    scales = (query.scale, key.scale)
    if query.offset is None and key.offset is None and not any(isinstance(s, torch.Tensor) for s in scales):
        scale = query.factor() * key.factor()
        query, key = (Value(value.term, value.ids) for value in (query, key))
    else:
        scale = 1.0
    return _merged(at, query, "q"), _merged(at, key, "k"), heads, scale


def _learned(at: CallSite, query: torch.Tensor, key: Value) -> tuple[Term, Term]:
    """Terms of a constant query and of the keys: a linear layer without weights gives its bias."""
    heads, _, width = key.shape
    if math.prod(query.shape) != heads * width:
        raise Refusal(
            f"a learned query must be one token with {heads} heads of {width}, not {list(query.shape)}",
            why="the bias of a linear layer is the same for every token",
        )
    k = _merged(at, key, "k")
    if not isinstance(k.op, Linear):
        raise Refusal("the keys of a learned query must be the result of a linear layer")
    token = at.terms.rows(k.inputs[0], 0, 1)
    weight = np.zeros((heads * width, token.shape[-1]), np.float32)
    op = Linear(weight=weight, bias=array(query.reshape(-1)))
    return at.terms.make(op, (token,), at.name("query"), at.call.source), k


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
    learned = query if isinstance(query, torch.Tensor) else None
    names = ("query", "key", "value")
    given = (key if learned is not None else query, key, value)
    q, k, v = (_heads(computed(x, n), n) for x, n in zip(given, names, strict=True))
    if enable_gqa and k.shape[0] != q.shape[0] and q.shape[0] % k.shape[0] == 0:
        groups = q.shape[0] // k.shape[0]
        k, v = (x.map(lambda ids: ids.repeat_interleave(groups, 0)) for x in (k, v))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if learned is not None:
        q_term, k_term = _learned(at, learned, k)
        heads, inner = k.shape[0], 1.0
    else:
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
    if isinstance(x, torch.Tensor) and isinstance(y, Value) and x.dim() > 1 and x.shape[-2] == 1:
        keys = _heads(y.map(lambda ids: ids.transpose(-1, -2)), "keys")
        q, k = _learned(at, x, keys)
        lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        return at.terms.value(_make_scores(at, q, k, keys.shape[0], 1.0), (*lead, 1, y.shape[-1]))
    if isinstance(x, torch.Tensor) and isinstance(y, Value):
        turned = matmul(at, y.map(lambda ids: ids.transpose(-1, -2)), x.transpose(-1, -2))
        return turned.map(lambda ids: ids.transpose(-1, -2))
    if isinstance(y, torch.Tensor):
        return _by_matrix(at, computed(x, "the left factor"), y)
    left, right = computed(x, "the left factor"), computed(y, "the right factor")
    if isinstance(left.term.op, Gates):
        return _gated(at, left, right)
    if isinstance(left.term.op, Unknown) or isinstance(right.term.op, Unknown):
        raise Refusal("a factor is unknown")
    lead = left.shape[:-2]
    a, b = _heads(left, "the left factor"), _heads(right, "the right factor")
    if isinstance(a.term.op, Softmax):
        _whole(a, "attention weights")
        if b.shape[0] == 1 and a.shape[0] > 1:
            b = b.map(lambda ids: ids.expand(a.shape[0], -1, -1))
        return _context(at, at.terms.scaled(a.term, a.factor()), b, _merged(at, b, "v"), lead)
    q, k, heads, scale = _scores(at, a, b.map(lambda ids: ids.transpose(1, 2)))
    return at.terms.value(_make_scores(at, q, k, heads, scale), (*lead, *a.shape[1:2], b.shape[2]))


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


def _whole(value: Value, what: str) -> None:
    """Refuse anything but the term's own elements in order."""
    if value.offset is not None:
        raise Refusal(f"a constant is added to {what}", why=_MASK)
    if not torch.equal(value.ids.flatten(), torch.arange(value.term.size)):
        raise Refusal(f"{what} are cut or reordered")


@rule("aten.softmax.int", "aten._softmax.default")
def softmax(at: CallSite, x: Value, dim: int, dtype: Any = None) -> Value:
    """Softmax over the keys."""
    if dtype not in (None, False, torch.float32):
        raise Refusal(f"softmax must stay float32, not {dtype}")
    last = dim % len(x.shape) == len(x.shape) - 1
    if isinstance(x.term.op, Best) and x.term.op.convention == "logits" and last:
        if not whole(x) or x.shape[-1] != x.term.op.k or x.factor() != 1.0:
            raise Refusal("the softmax must be over all chosen logits, as they are", fix=THREE_WAYS)
        return other(at, x, "softmax_topk")
    if at.routed and last and isinstance(x.term.op, Linear) and len(x.term.shape) == 2:
        return chances(at, x)
    if not isinstance(x.term.op, Scores):
        raise Refusal(
            "softmax is only supported on attention scores",
            why="it is computed between the query-key and the value product",
            fix=THREE_WAYS
            if at.routed
            else "leave out a softmax over classes: the largest logit is the same class",
        )
    if dim % len(x.shape) != len(x.shape) - 1:
        raise Refusal(f"softmax must be over the last axis (the keys), not over axis {dim}")
    _whole(x, "attention scores")
    scores = _with_exact_scale(at, at.terms.scaled(x.term, x.factor()))
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
