# SPDX-License-Identifier: Apache-2.0
"""Scores and the products that they are: the same numbers, [H, T, S] under a softmax, [T, H*S] elsewhere."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import LAYOUT, lies, picked, transposed
from hlsgen.frontend.rules.masks import apart, same
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Value
from hlsgen.frontend.rules.windowed import SHUFFLED, Picks, picks
from hlsgen.ir import Op
from hlsgen.ops import Constant, Linear, Matmul, MixedScores, Scores


@dataclass(frozen=True, eq=False)
class Outer(Op):
    """The sum of values that broadcast to each other: a line's and a column's, for each pair of both.

    Lives only inside the front end: scores to which it is added take its parts.
    """

    parts: tuple[Value, ...]


_ROUNDED = 2.0**-22
"""Relative error of a product of two numbers that were rounded to float32, at most."""


def as_product(terms: Terms, value: Value) -> Value:
    """Elements of scores as elements of the product, or of the linear layer, that no softmax reads."""
    term = value.term
    op = term.op
    if not isinstance(op, Scores):
        return value
    heads, rows, keys = term.shape
    query, key = term.inputs
    if isinstance(query.op, Constant):
        return _as_linear(terms, value, query.op.value * op.scale, op.shared + 1)
    sign = 1.0 if op.scale > 0 else -1.0
    product = Matmul(heads=heads, transposed=True, scale=sign * op.scale, shared=op.shared)
    made = terms.cached(
        ("product of scores", term),
        lambda: terms.make(product, (query, terms.scaled(key, sign)), term.name, term.source),
    )
    head, row, column = _places(value.ids, rows, keys)
    ids = torch.where(value.ids < 0, -1, (row * heads + head) * keys + column)
    return Value(made, ids, value.scale, value.offset)


def _as_linear(terms: Terms, value: Value, query: np.ndarray, group: int) -> Value:
    """Learned queries times keys: a linear layer of the keys, rows of `group` heads on the same channels."""
    term = value.term
    heads, rows, keys = term.shape
    key = term.inputs[1]
    each = query.shape[1] // heads
    weight = np.zeros((heads, rows, heads // group, each))
    for head in range(heads):
        weight[head, :, head // group] = query[:, head * each : (head + 1) * each]
    matrix = weight.reshape(heads * rows, -1)
    inner = key.op if isinstance(key.op, Linear) else None
    bias = np.zeros(len(matrix)) if inner is None else matrix @ inner.bias
    op = Linear(weight=matrix if inner is None else matrix @ inner.weight, bias=bias)
    inputs = (key,) if inner is None else key.inputs
    made = terms.cached(("linear of scores", term), lambda: terms.make(op, inputs, term.name, term.source))
    head, row, column = _places(value.ids, rows, keys)
    ids = torch.where(value.ids < 0, -1, (column * heads + head) * rows + row)
    return Value(made, ids, value.scale, value.offset)


def _places(ids: torch.Tensor, rows: int, keys: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Head, row and column of elements [H, T, S]."""
    return ids // (rows * keys), ids // keys % rows, ids % keys


def scored(terms: Terms, value: Value) -> Term:
    """The scores [H, T, S] whose softmax over the last axis is that of the value; raises `Refusal`.

    Constants on the value are the scores' bias.
    """
    found = picks(value)
    flat, bias = apart(value.map(lambda x: x.reshape(-1, *x.shape[-2:])))
    if found is not None:
        bias = found.spread(torch.zeros(flat.shape) if bias is None else torch.from_numpy(bias), -math.inf)
        flat = _of_all(flat, found)
    term = _factored(terms, flat)
    op = term.op
    if bias is None or not isinstance(op, Scores | MixedScores):
        return term
    biased = dataclasses.replace(op, bias=bias.reshape(term.shape))
    return terms.make(biased, term.inputs, term.name, term.source)


def _of_all(picked_: Value, found: Picks) -> Value:
    """All scores [H, Q, U], with the factor of each head that those which are picked have."""
    scale: float | torch.Tensor = picked_.scale
    if isinstance(scale, torch.Tensor):
        scale = found.by_head(scale.expand(picked_.shape), "scores")[:, None, None].expand(found.shape)
    return Value(picked_.term, torch.arange(picked_.term.size).reshape(found.shape), scale)


def _factored(terms: Terms, value: Value) -> Term:
    """Scores that have no bias, with their factors."""
    term = _of_product(terms, value)
    mixed = isinstance(term.op, MixedScores)
    if not isinstance(value.scale, torch.Tensor) and (value.scale > 0 or mixed):
        return terms.scaled(term, value.scale)
    every = torch.as_tensor(value.scale, dtype=torch.float64).expand(value.shape)
    factors = every.flatten(1)
    if not bool((factors == factors[:, :1]).all()):
        return _factored_by_token(terms, term, every)
    if isinstance(term.op, MixedScores):
        mixture = MixedScores(matrix=term.op.matrix * factors[:, :1].numpy())
        return terms.make(mixture, term.inputs, term.name, term.source)
    query, key = term.inputs
    each = query.shape[-1] // term.shape[0]
    by_channel = np.repeat(factors[:, 0].numpy(), each)
    query = picked(terms, query, np.arange(query.shape[-1]), by_channel, query.name)
    return terms.make(_op(term), (query, key), term.name, term.source)


def _factored_by_token(terms: Terms, term: Term, factors: torch.Tensor) -> Term:
    """Scores [H, T, S] with a factor of each query, or of each key, times one of each head."""
    by_query = bool((factors == factors[:, :, :1]).all())
    each = factors[:, :, 0] if by_query else factors[:, 0]
    most = int(each.abs().sum(1).argmax())
    row = each[most]
    head = each @ row / (row @ row)
    alike = (by_query or bool((factors == factors[:, :1]).all())) and torch.allclose(
        head[:, None] * row, each, rtol=_ROUNDED, atol=0
    )
    if not isinstance(term.op, Scores) or not alike:
        raise Refusal(
            "attention scores have a factor that is not one of the query's or the key's, and of the head's",
            why="it becomes part of the queries or of the keys, in which a row has one factor for a head",
            fix="multiply queries or keys by a factor per head, per channel or per token",
        )
    query, key = term.inputs
    op, width = term.op, query.shape[-1]
    query = picked(terms, query, np.arange(width), np.repeat(head.numpy(), width // len(head)), query.name)
    weighed = Constant(value=np.diag(row.numpy()))
    inputs = (terms.product(weighed, query), key) if by_query else (query, terms.product(weighed, key))
    return terms.make(op, inputs, term.name, term.source)


def _op(term: Term) -> Scores:
    if not isinstance(term.op, Scores):
        raise Refusal(LAYOUT)
    return term.op


def scorable(value: Value) -> bool:
    """Whether a softmax over the last axis of the value is one over keys: scores, a product, learned queries.

    Of a linear layer's result the last axis must be tokens: over channels its bias would matter.
    """
    op, term = value.term.op, value.term
    if isinstance(op, Scores | MixedScores | Matmul):
        return True
    return isinstance(op, Linear) and not term.is_embedding and lies(_by_token(value), term.shape[-1])


def _by_token(value: Value) -> torch.Tensor:
    """Ids [..., T, S] as [S, ...*T]."""
    return value.ids.reshape(-1, value.shape[-1]).T


def _of_product(terms: Terms, value: Value) -> Term:
    """The scores [H, T, S] that a value's ids are, whatever its factor."""
    heads, rows, keys = value.shape
    op, term = value.term.op, value.term
    whole = torch.arange(term.size)
    if isinstance(op, Scores):
        if same(value.ids, whole):
            return term
        if same(value.ids.transpose(1, 2), whole):
            query = term.inputs[0]
            turned = dataclasses.replace(op, shared=0)
            return terms.make(turned, (own_keys(terms, term), query), term.name, term.source)
    elif isinstance(op, MixedScores):
        if same(value.ids, whole):
            return term
    elif isinstance(op, Matmul) and op.heads == heads:
        if same(value.ids.permute(1, 0, 2), whole):
            return _scores_of(terms, term, op)
    elif isinstance(op, Linear):
        across = _by_token(value)
        columns = (across[0] % term.shape[-1]).numpy().reshape(heads, rows)
        first = int(across[0, 0]) // term.shape[-1]
        return _of_learned(terms, terms.rows(term, first, first + keys), columns)
    raise Refusal(SHUFFLED)


def own_keys(terms: Terms, term: Term) -> Term:
    """The keys of scores, those of each head once for each."""
    op, (query, key) = _op(term), term.inputs
    each = query.shape[-1] // op.heads
    parts = np.arange(key.shape[-1]).reshape(-1, each)
    columns = np.repeat(parts, op.shared + 1, axis=0).ravel()
    return picked(terms, key, columns, None, key.name)


def _scores_of(terms: Terms, term: Term, op: Matmul) -> Term:
    """The scores that a product is; a left side of all heads is repeated for each."""
    left, right = term.inputs
    parts = op.heads // (op.shared + 1)
    key = right if op.transposed else transposed(terms, right, parts)
    if left.shape[-1] * parts != key.shape[-1] * op.heads:
        left = picked(terms, left, np.tile(np.arange(left.shape[-1]), op.heads), None, left.name)
    made = Scores(heads=op.heads, scale=op.scale, shared=op.shared)
    return terms.make(made, (left, key), term.name, term.source)


def _of_learned(terms: Terms, term: Term, columns: np.ndarray) -> Term:
    """Results of a linear layer, over which tokens compete: its weights are queries, its input the keys."""
    heads, rows = columns.shape
    if not isinstance(term.op, Linear):
        raise Refusal(LAYOUT)
    weight, key = term.op.weight[columns], term.inputs[0]
    query = Constant(value=np.moveaxis(weight, 0, 1).reshape(rows, -1))
    left = terms.constant(query, f"{term.name}_queries", term.source)
    return terms.make(Scores(heads=heads, scale=1.0, shared=heads - 1), (left, key), term.name, term.source)
