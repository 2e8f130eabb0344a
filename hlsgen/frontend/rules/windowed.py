# SPDX-License-Identifier: Apache-2.0
"""Attention whose queries meet some keys only: by windows, by tables of neighbours, by tables of each head.

It is one attention of all these queries and keys, in which a query sees the keys of its own. Axes in front
of factors [..., T, d] and [..., S, d] are windows and heads, in any order and perhaps as one axis. Queries
become rows one window behind another, [H, n*T, d]; a key that several windows have is one row. Scores
[..., T, S] are elements of all scores [H, n*T, U]; what nobody looks at is hidden.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.grouped import Factor, moved
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Value
from hlsgen.ops import Scores, Softmax, Transpose
from hlsgen.ops.kinds import FloatOp

SHUFFLED = "attention scores are cut or reordered"


@dataclass(frozen=True, eq=False)
class Cut:
    """Queries [H, n*T, d] and keys [H, U, d] of all windows, and where these have been.

    lead: the axes in front. order [n, H]: the index in front of each window's heads. places [n, H, S]: the
    row among all keys of each key of a window.
    """

    query: Factor
    key: Factor
    lead: tuple[int, ...]
    order: torch.Tensor
    places: torch.Tensor

    def scores(self, term: Term) -> Value:
        """Of all scores [H, n*T, U] those of queries and their own keys, [*lead, T, S]."""
        heads, rows, keys = term.shape
        count = len(self.order)
        each = torch.arange(rows).reshape(count, 1, -1, 1)
        head = torch.arange(heads)[:, None, None]
        ids = (head * rows + each) * keys + self.places[:, :, None]
        found = torch.empty((self.order.numel(), *ids.shape[2:]), dtype=ids.dtype)
        found[self.order.flatten()] = ids.flatten(0, 1)
        return Value(term, found.reshape(*self.lead, *ids.shape[2:]))


def cut(query: Any, key: Any) -> Cut | None:
    """How a product of factors [..., T, d] and [..., S, d] is one by windows; None: all meet all."""
    if min(len(query.shape), len(key.shape)) < 2 or query.shape[-1] != key.shape[-1]:
        return None
    pairs = itertools.zip_longest(query.shape[-3::-1], key.shape[-3::-1], fillvalue=1)
    if any(1 not in pair and pair[0] != pair[1] for pair in pairs):
        return None  # grouped queries, or an error
    lead = tuple(torch.broadcast_shapes(tuple(query.shape[:-2]), tuple(key.shape[:-2])))
    if math.prod(lead) == 1:
        return None
    asks, keys = _tokens(query), _tokens(key)
    if _same(asks) and _same(keys):
        return None
    query, key = (
        moved(x, lambda ids: ids.expand((*lead, *ids.shape[-2:])).reshape(-1, *ids.shape[-2:]))
        for x in (query, key)
    )
    order = _windows(query if asks is not None else key)
    if order is None:
        raise Refusal("windows have different numbers of heads")
    stacked = moved(query, lambda ids: ids[order].movedim(1, 0).flatten(1, 2))
    every = moved(key, lambda ids: ids[order])
    places, count = _places(every)
    rows = moved(every, lambda ids: ids.flatten(0, 2))
    heads = torch.arange(order.shape[1])[:, None].expand(places.shape)
    return Cut(stacked, _collected(rows, heads, places, count), lead, order, places)


def _tokens(x: Factor) -> torch.Tensor | None:
    """The token of each row of [..., T, d], as [L, T], -1 for constants; None: rows are no tokens."""
    if not isinstance(x, Value) or not x.ids.numel() or _across(x.term):
        return None
    top = x.ids.amax(-1).reshape(-1, x.shape[-2])
    if isinstance(x.term.op, Join):
        if any(len(term.shape) != 2 for term in x.term.inputs):
            return None
        ends = torch.tensor([term.size for term in x.term.inputs]).cumsum(0)
        owner = torch.bucketize(top.clamp(min=0), ends, right=True)
        sizes = torch.tensor([term.shape for term in x.term.inputs])
        first, before = ends - sizes.prod(1), sizes[:, 0].cumsum(0) - sizes[:, 0]
        found = before[owner] + (top - first[owner]) // sizes[:, 1][owner]
    elif len(x.term.shape) == 2:
        found = top // x.term.shape[-1]
    else:
        return None
    return torch.where(top < 0, -1, found)


def _across(term: Term) -> bool:
    """Whether rows are channels: of a transpose, also behind what works row by row."""
    while isinstance(term.op, FloatOp) and term.op.by_token and term.inputs:
        term = term.inputs[0]
    return isinstance(term.op, Transpose)


def _same(tokens: torch.Tensor | None) -> bool:
    return tokens is None or torch.equal(tokens, tokens[:1].expand(tokens.shape))


def _windows(x: Factor) -> torch.Tensor | None:
    """Which of [L, T, d] have the same tokens: [n, H] indices, in order; None: not all are as many."""
    tokens = _tokens(x)
    if tokens is None:
        return torch.arange(len(x.ids if isinstance(x, Value) else x))[None]
    _, number = tokens.unique(dim=0, return_inverse=True)
    first = torch.full((int(number.max()) + 1,), len(tokens))
    first = first.scatter_reduce(0, number, torch.arange(len(tokens)), "amin")
    rank = first.argsort().argsort()[number]
    sizes = rank.bincount()
    if not bool((sizes == sizes[0]).all()):
        return None
    return rank.argsort(stable=True).reshape(len(sizes), -1)


def _places(keys: Factor) -> tuple[torch.Tensor, int]:
    """The row of each key [n, H, S, d] among all that differ, [n, H, S], and how many these are.

    A token of several windows is one row, tokens then in their own order. Else rows are a window's behind
    those of another one. A constant key of several windows is one row, too.
    """
    count, heads, size = tuple(keys.shape[:3])
    tokens = _tokens(keys)
    slots = torch.arange(count * size).reshape(count, 1, size).expand(count, heads, size)
    if tokens is None:
        if isinstance(keys, Value) and count > 1:
            raise Refusal("keys of windows are no tokens")
        alike = isinstance(keys, Value) or torch.equal(keys, keys[:1].expand(keys.shape))
        return (slots[:1].expand(slots.shape), size) if alike else (slots, count * size)
    numbers = tokens.reshape(count, heads, size)
    numbers = _numbered(torch.where(numbers < 0, int(tokens.max()) + 1, numbers))
    found, place = numbers.unique(return_inverse=True)
    if len(found) == count * size and torch.equal(numbers, numbers[:, :1].expand(numbers.shape)):
        return slots, count * size
    return place, len(found)


def _numbered(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens [n, H, S], of which a window may have one several times: a number for each time."""
    ordered = tokens.sort(-1).values
    if not bool((ordered.diff(dim=-1) == 0).any()):
        return tokens
    times = (tokens[..., None] == tokens[..., None, :]).tril(-1).sum(-1)
    return tokens * (int(times.max()) + 1) + times


def _collected(rows: Factor, heads: torch.Tensor, places: torch.Tensor, count: int) -> Any:
    """Rows [P, d], of the heads and places that are given, as [H, count, d]: all of a place must be equal.

    Where a head has no row, nobody looks: it is that of another head, so that rows are whole tokens.
    """
    number = int(heads.max()) + 1
    at = (heads * count + places).flatten()
    source = torch.full((number * count,), -1)
    source[at] = torch.arange(len(at))
    parts = (rows,) if not isinstance(rows, Value) else (rows.ids, rows.scale, rows.offset)
    for part in parts:
        if isinstance(part, torch.Tensor) and not torch.equal(part, part[source[at]]):
            raise Refusal("a key or a value of several queries is not the same for all of them")
    empty = (source < 0).reshape(number, count)
    source = torch.where(source < 0, at.new_tensor(0), source).reshape(number, count)
    if not bool(empty.any()):
        return moved(rows, lambda ids: ids[source])
    own = source[torch.arange(number), (~empty).int().argmax(1)]
    nearest = torch.where(empty, own[:, None], source)
    found = moved(rows, lambda ids: ids[nearest])
    return _whole(found, empty) if isinstance(found, Value) else found


def _whole(x: Value, empty: torch.Tensor) -> Value:
    """[H, U, d] with the tokens of other heads where a head's are empty [H, U]."""
    ids = x.ids.clone()
    width = x.term.shape[-1]
    if len(x.term.shape) != 2:
        raise Refusal("heads have other keys of joined tokens")
    for place in empty.any(0).nonzero()[:, 0].tolist():
        mine = empty[:, place]
        if not bool(mine.all()):
            token = ids[(~mine).int().argmax(), place].amax()
            token = token // width * width
            ids[mine, place] = torch.where(token < 0, -1, ids[mine, place] % width + token)
    return Value(x.term, ids, x.scale, x.offset)


@dataclass(frozen=True, eq=False)
class Picks:
    """Elements [L, T, S] of all scores or weights: which rows [L*T] of [H*Q, U], and which keys [L*T, S].

    A key that a constant has taken the place of is -1.
    """

    shape: tuple[int, ...]
    rows: torch.Tensor
    keys: torch.Tensor

    @property
    def heads(self) -> torch.Tensor:
        """The head of each row."""
        return self.rows // self.shape[1]

    def spread(self, x: torch.Tensor, fill: float) -> np.ndarray:
        """Numbers [L, T, S] as [H, Q, U], `fill` elsewhere."""
        whole = torch.full((self.shape[0] * self.shape[1], self.shape[2]), fill, dtype=torch.float64)
        used = self.keys >= 0
        rows = self.rows[:, None].expand(self.keys.shape)
        whole[rows[used], self.keys[used]] = x.double().reshape(self.keys.shape)[used]
        return whole.reshape(self.shape).numpy()

    def by_head(self, x: torch.Tensor, what: str) -> torch.Tensor:
        """The number [H] that [L, T, S] have for each head; raises `Refusal`."""
        each = x.double().reshape(self.keys.shape)
        found = torch.ones(self.shape[0], dtype=torch.float64)
        found[self.heads] = each[:, 0]
        if not bool(((each == found[self.heads][:, None]) | (self.keys < 0)).all()):
            raise Refusal(f"attention {what} have a factor that is not the same for all tokens of a head")
        return found


def picks(x: Value) -> Picks | None:
    """The rows and keys of scores or weights [..., T, S] of which a row has some only; None: all of them.

    Every row of all heads is there once.
    """
    shape = tuple(x.term.shape)
    if not isinstance(x.term.op, Scores | Softmax) or x.shape[-1] == shape[-1]:
        return None
    ids = x.ids.reshape(-1, x.shape[-1])
    rows = torch.where(ids < 0, -1, ids // shape[2])
    row = rows.amax(-1)
    if len(row) != shape[0] * shape[1] or not bool(((rows == row[:, None]) | (ids < 0)).all()):
        return None
    blind = row < 0
    if bool(blind.any()):
        left = torch.ones(len(row), dtype=torch.bool)
        left[row[~blind]] = False
        if int(left.sum()) != int(blind.sum()):
            return None
        row = row.masked_scatter(blind, left.nonzero()[:, 0])
    keys = torch.where(ids < 0, -1, ids % shape[2])
    twice = torch.where(keys < 0, -1 - torch.arange(keys.shape[1]), keys).sort(-1).values.diff(dim=-1) == 0
    if len(row.unique()) != len(row) or bool(twice.any()):
        return None
    return Picks(shape, row, keys)


def collected_values(found: Picks, values: Any, lead: tuple[int, ...], size: int) -> Any:
    """Values [..., S, d] of weights [*lead, T, S], T of them `size`, as [H, U, d] of all keys."""
    slots = found.keys.shape[1]
    if values.shape[-2] != slots:
        raise Refusal(f"attention weights of {slots} keys meet {values.shape[-2]} values")
    each = moved(values, lambda ids: ids.expand((*lead, *ids.shape[-2:])).reshape(-1, *ids.shape[-2:]))
    index = torch.arange(len(found.rows)) // size
    used = found.keys >= 0
    row = index[:, None].expand(used.shape)[used] * slots + torch.arange(slots).expand(used.shape)[used]
    rows = moved(each, lambda ids: ids.flatten(0, 1)[row])
    heads = found.heads[:, None].expand(used.shape)[used]
    return _collected(rows, heads, found.keys[used], found.shape[2])
