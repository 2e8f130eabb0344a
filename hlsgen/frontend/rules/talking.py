# SPDX-License-Identifier: Apache-2.0
"""Heads that are mixed before or behind the softmax (Shazeer et al. 2020: talking heads).

Scores of heads that are mixed are sums of maps: each head's scores are stored, and added up with weights
where a softmax reads them. Learned queries have no map: q'_g, which has every head's queries, each times
L[g,h], meets the keys of all heads. Weights that are mixed are mixed contexts: each head meets the values of
all heads, and a linear layer behind adds them up.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import picked
from hlsgen.frontend.rules.masks import finite
from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.scores import as_product, own_keys
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Value
from hlsgen.ir import Op
from hlsgen.ops import Constant, Context, Linear, MixedScores, Scores, Softmax

_PLACE = "a factor or constant on attention weights differs from token to token"


@dataclass(frozen=True, eq=False)
class Mixed(Op):
    """Softmax [H, T, S] -> [G, T, S]: sums of heads, matrix [G, H], plus bias [G].

    Lives only inside the front end: the product with the values takes it apart.
    """

    matrix: np.ndarray
    bias: np.ndarray


OVER_HEADS = (Scores, MixedScores, Softmax, Mixed)
"""Ops whose results [H, T, S] a linear layer over the heads may read."""


def over_heads(x: Value) -> bool:
    """Whether the last axis of a value is the heads of scores or of weights, all of them in order."""
    if len(x.term.shape) != 3 or x.shape[-1] != x.term.shape[0] or x.ids.numel() != x.term.size:
        return False
    heads, rows, keys = x.term.shape
    each = torch.arange(rows * keys)[:, None] + torch.arange(heads) * (rows * keys)
    return torch.equal(x.ids.reshape(-1, heads), each)


def mixed(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value | None:
    """A linear layer over the heads of scores or of weights [..., H]; None: it is over something else."""
    term = x.term
    if not over_heads(x):
        return None
    heads, rows, keys = term.shape
    finite(x, "scores")
    matrix = weight.detach().double().numpy()
    if isinstance(x.scale, torch.Tensor):
        factors = x.scale.reshape(-1, heads)
        if not bool((factors == factors[0]).all()):
            raise Refusal(_PLACE, why="it becomes part of the mixing of the heads")
        matrix = matrix * factors[0].numpy()
    else:
        matrix = matrix * x.scale
    if isinstance(term.op, MixedScores):
        mixture = MixedScores(matrix=matrix @ term.op.matrix)
        made = at.terms.make(mixture, term.inputs, term.name, term.source)
    elif isinstance(term.op, Scores):
        made = _of_scores(at, term, term.op, matrix)
    else:
        made = _sum(at.terms, term, matrix)
    count = len(matrix)
    ids = torch.arange(rows * keys)[:, None] + torch.arange(count) * (rows * keys)
    value = Value(made, ids.reshape(*x.shape[:-1], count))
    for constant in (bias, None if x.offset is None else x.offset @ weight.double().T):
        value = value if constant is None else value.plus(constant)
    return value


def _of_scores(at: CallSite, term: Term, op: Scores, matrix: np.ndarray) -> Term:
    """Sums of the maps that scores are; of learned queries, scores of wider heads."""
    if isinstance(term.inputs[0].op, Constant):
        return _wider(at.terms, term, op, matrix)
    maps = as_product(at.terms, Value(term, torch.arange(term.size)))
    return at.terms.make(MixedScores(matrix=matrix), (maps.term,), at.name("mixed"), term.source)


def _wider(terms: Terms, term: Term, op: Scores, matrix: np.ndarray) -> Term:
    """Scores of mixed heads: queries with their factors, and the keys of all heads for each."""
    query, key = term.inputs[0], own_keys(terms, term)
    width = query.shape[-1]
    columns = np.tile(np.arange(width), len(matrix))
    factors = np.repeat(matrix, width // op.heads, axis=1).ravel()
    left = picked(terms, query, columns, factors, f"{query.name}_mixed")
    right = picked(terms, key, columns, None, f"{key.name}_all")
    return terms.make(
        dataclasses.replace(op, heads=len(matrix), shared=0), (left, right), term.name, term.source
    )


def _sum(terms: Terms, term: Term, matrix: np.ndarray) -> Term:
    """A mixture of softmax weights; one of a mixture is one mixture."""
    op, before = term.op, term
    bias = np.zeros(len(matrix))
    if isinstance(op, Mixed):
        matrix, bias, before = matrix @ op.matrix, matrix @ op.bias, term.inputs[0]
    kind = dataclasses.replace(term.type, shape=(len(matrix), *term.shape[1:]))
    return terms.new(Mixed(matrix, bias), (before,), term.name, term.source, kind)


def unmixed(at: CallSite, weights: Value, values: Term) -> Term:
    """Mixed weights [G, T, S] times values [S, G*d], for each mixed head: [T, G*d]."""
    op = weights.term.op
    assert isinstance(op, Mixed)
    matrix, bias = _with_constants(weights, op)
    softmax, count = weights.term.inputs[0], len(matrix)
    if bias.any():
        softmax = _with_uniform(at.terms, softmax)
        matrix = np.concatenate((matrix, bias[:, None] * softmax.shape[2]), 1)
    heads, width = matrix.shape[1], values.shape[-1]
    context = at.terms.make(Context(shared=heads - 1), (softmax, values), at.name("context"), at.call.source)
    layer = np.zeros((count, width // count, heads, count, width // count))
    for head in range(count):
        for element in range(width // count):
            layer[head, element, :, head, element] = matrix[head]
    mixing = Linear(weight=layer.reshape(width, -1), bias=np.zeros(width))
    return at.terms.make(mixing, (context,), at.name("mix"), at.call.source)


def _with_constants(weights: Value, op: Mixed) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and bias with what the value is multiplied by and what is added to it, head by head."""
    numbers = []
    for constant, default in ((weights.scale, 1.0), (weights.offset, 0.0)):
        each = torch.as_tensor(default if constant is None else constant, dtype=torch.float64)
        each = each.expand(weights.shape).reshape(len(op.matrix), -1)
        if not bool((each == each[:, :1]).all()):
            raise Refusal(_PLACE, why="it becomes part of the mixing of the heads")
        numbers.append(each[:, 0].numpy())
    factors, offsets = numbers
    return op.matrix * factors[:, None], op.bias * factors + offsets


def _with_uniform(terms: Terms, softmax: Term) -> Term:
    """The softmax with one more head, which weighs all keys alike: its queries are zeros."""
    scores = softmax.inputs[0]
    op = scores.op
    if isinstance(op, MixedScores):
        matrix = np.concatenate((op.matrix, np.zeros((1, op.matrix.shape[1]))))
        mixture = MixedScores(matrix=matrix, bias=_for_uniform(op.bias))
        made = terms.make(mixture, scores.inputs, scores.name, scores.source)
        return terms.make(Softmax(), (made,), softmax.name, softmax.source)
    if not isinstance(op, Scores):
        raise Refusal("attention weights are cut or reordered")
    query, key = scores.inputs[0], own_keys(terms, scores)
    width = query.shape[-1]
    each = width // op.heads
    columns = np.concatenate((np.arange(width), np.arange(each)))
    factors = np.concatenate((np.ones(width), np.zeros(each)))
    left = picked(terms, query, columns, factors, f"{query.name}_uniform")
    right = picked(terms, key, columns, None, f"{key.name}_uniform")
    wider = dataclasses.replace(op, heads=op.heads + 1, shared=0, bias=_for_uniform(op.bias))
    made = terms.make(wider, (left, right), scores.name, scores.source)
    return terms.make(Softmax(), (made,), softmax.name, softmax.source)


def _for_uniform(bias: np.ndarray | None) -> np.ndarray | None:
    """The bias with that of the head that weighs all keys alike, hidden ones too."""
    return None if bias is None else np.concatenate((bias, np.zeros((1, *bias.shape[1:]))))
