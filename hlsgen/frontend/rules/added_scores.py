# SPDX-License-Identifier: Apache-2.0
"""Terms of scores that the image decides: what a query has for a class of keys is added to its scores.

ViTDet's and SAM's relative positions meet queries: a score gets what its query has for the key's line, and
for its column. That is a product of its own, with keys of zeros and ones: both products are one, of queries
and keys with more channels.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from hlsgen.frontend.rules.scores import Outer, own_keys
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Value
from hlsgen.frontend.rules.tokens import settled
from hlsgen.ops import Add, Linear, Scores

_WHAT = "what the image decides is added to attention scores"
_WHY = "a score may get what its query has for a class of keys, the same classes for all queries"


@dataclass(frozen=True)
class _Classes:
    """What each query of each head has for each class of keys, [H, T, C], and the class of each key [S]."""

    values: Value
    of_key: torch.Tensor


def widened(terms: Terms, scores: Value, added: Value) -> Value:
    """The scores plus `added`, which broadcasts to them, as scores of wider queries and keys."""
    if isinstance(added.term.op, Outer):
        return _of_parts(terms, scores, added, added.term.op.parts)
    term, op = scores.term, scores.term.op
    number = scores.scale
    shape = tuple(torch.broadcast_shapes(scores.shape, added.shape))
    if not isinstance(op, Scores) or op.bias is not None or isinstance(number, torch.Tensor):
        raise Refusal(_WHAT, why=_WHY)
    if shape != scores.shape or not number or op.scale <= 0 or int(scores.ids.min()) < 0:
        raise Refusal(_WHAT, why=_WHY)
    found = _classes(scores, added.expand(shape))
    wide = _joined(terms, term, found, found.values.scaled(1.0 / number))
    offset = None if added.offset is None else added.offset.expand(shape)
    value = Value(wide, scores.ids, number, scores.offset)
    return value if offset is None else value.plus(offset)


def _of_parts(terms: Terms, scores: Value, added: Value, parts: tuple[Value, ...]) -> Value:
    """The scores plus each part of a sum, whose elements `added` has."""
    if int(added.ids.min()) < 0:
        raise Refusal(_WHAT, why=_WHY)
    for part in parts:
        whole = part.expand(added.term.shape)
        mine = whole.map(lambda ids: ids.reshape(-1)[added.ids])
        scores = widened(terms, scores, mine.scaled(added.scale))
    return scores if added.offset is None else scores.plus(added.offset)


def _classes(scores: Value, added: Value) -> _Classes:
    """The classes that the elements show."""
    heads, rows, keys = scores.term.shape
    query, key = scores.ids // keys, scores.ids % keys
    axes = 1
    while axes < scores.ids.dim() and _alike(query.flatten(-axes - 1)):
        axes += 1
    count = math.prod(scores.shape[-axes:])
    query, key = query.reshape(-1, count)[:, 0], key.reshape(-1, count)
    flat = Value(added.term, added.ids, added.scale).map(lambda part: part.reshape(-1, count))
    of_place = flat.ids[0].unique(return_inverse=True)[1]
    first = torch.stack([(of_place == number).nonzero()[0, 0] for number in range(int(of_place.max()) + 1)])
    each = flat.map(lambda part: part[:, first])
    of_key = torch.full((keys,), -1)
    of_key[key] = of_place.expand(key.shape)
    again = each.map(lambda part: part[:, of_place])
    fits = torch.equal(again.ids, flat.ids) and bool((flat.ids >= 0).all())
    fits &= bool((torch.as_tensor(again.scale) == torch.as_tensor(flat.scale)).all())
    fits &= bool((of_key[key] == of_place).all() and (of_key >= 0).all()) and len(first) < count
    if not fits or not torch.equal(query.sort()[0], torch.arange(heads * rows)):
        raise Refusal(_WHAT, why=_WHY)
    order = query.argsort()
    return _Classes(each.map(lambda part: part[order].reshape(heads, rows, -1)), of_key)


def _alike(numbers: torch.Tensor) -> bool:
    return bool((numbers == numbers[..., :1]).all())


def _joined(terms: Terms, term: Term, found: _Classes, values: Value) -> Term:
    """The scores of queries and keys with a channel more for each class."""
    op, query, key = term.op, term.inputs[0], own_keys(terms, term)
    if not isinstance(op, Scores):
        raise Refusal(_WHAT, why=_WHY)
    heads, rows, classes = values.shape
    width = query.shape[-1] // heads
    share = op.scale**-0.5
    flat = values.scaled(share).map(lambda part: part.permute(1, 0, 2).reshape(rows, -1))
    own = np.kron(np.eye(heads), np.eye(width + classes, width))
    more = np.kron(np.eye(heads), np.eye(width + classes, classes, -width))
    extra = settled(terms, flat, f"{term.name}_by_class")
    left = (_moved(terms, query, own), _moved(terms, extra, more))
    wide = terms.make(Add(), left, f"{query.name}_wide", term.source)
    ones = np.eye(classes)[found.of_key.numpy()] * share
    every = np.concatenate([np.zeros((len(ones), width)), ones], 1)
    keys = terms.shifted_by_token(_moved(terms, key, own), torch.from_numpy(np.tile(every, heads)))
    return terms.make(dataclasses.replace(op, shared=0), (wide, keys), term.name, term.source)


def _moved(terms: Terms, term: Term, matrix: np.ndarray) -> Term:
    """The columns of a term at other places, zeros between them."""
    op = Linear(weight=matrix, bias=np.zeros(len(matrix)))
    inputs = (term,)
    if isinstance(term.op, Linear) and not term.is_embedding:
        weight, bias = term.op.weight.astype(np.float64), term.op.bias.astype(np.float64)
        op, inputs = Linear(weight=matrix @ weight, bias=matrix @ bias), term.inputs
    return terms.make(op, inputs, f"{term.name}_wide", term.source)
