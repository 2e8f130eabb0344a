# SPDX-License-Identifier: Apache-2.0
"""What can be said of a call that reads the result of a refused one.

The result is unknown, but its shape is not. So the call is tried with *stand-ins*: results of that shape as
they would please the machine most. A call that refuses every one of them is a problem of its own; one that
takes any of them may be none, and is not listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.terms import Term, Terms, Unknown, Value
from hlsgen.ir import Source, TensorType
from hlsgen.ops import Linear, Scores, Softmax

MOST = 64
"""Combinations of stand-ins that are tried."""


def is_unknown(value: Any) -> bool:
    """Whether a value is a refused call's result, or a view of it."""
    return isinstance(value, Value) and isinstance(value.term.op, Unknown)


def result(terms: Terms, shape: tuple[int, ...], arguments: Sequence[Any]) -> Value:
    """The unknown result of a refused call."""
    computed = [x for x in arguments if isinstance(x, Value) and not _is_constant(x)]
    same = [x for x in computed if x.shape == shape]
    term = terms.unknown(shape, same[0] if len(computed) == len(same) == 1 else None, constant=not computed)
    return terms.value(term)


def _is_constant(value: Value) -> bool:
    return isinstance(value.term.op, Unknown) and value.term.op.constant


def choices(terms: Terms, image: Term, unknowns: dict[str, Value]) -> Iterator[dict[str, Any]]:
    """Stand-ins for all unknown arguments of a call, by name."""
    each = [list(_stand_ins(terms, image, value)) for value in unknowns.values()]
    for chosen in itertools.islice(itertools.product(*each), MOST):
        yield dict(zip(unknowns, chosen, strict=True))


def _stand_ins(terms: Terms, image: Term, value: Value) -> Iterator[Any]:
    """Values of the same shape; a view of an unknown is the same view of its stand-in."""
    op, shape = value.term.op, value.term.shape
    assert isinstance(op, Unknown)
    if op.constant:
        yield from (torch.zeros(value.shape), torch.ones(value.shape))
        return
    if op.of is not None:
        origins = [op.of] if not is_unknown(op.of) else list(_stand_ins(terms, image, op.of))
        yield from (_view(origin, value) for origin in origins)
    if math.prod(shape) == image.size:
        yield _view(terms.value(image, shape), value)
    for ids, rows in _layouts(shape):
        yield _view(Value(_linear(terms, value.term, rows), ids), value)
    if len(shape) >= 3 and math.prod(shape[:-3]) == 1:
        for weights in (False, True):
            yield _view(terms.value(_scores(terms, value.term, weights), shape), value)


def _view(origin: Any, value: Value) -> Any:
    """The elements of `origin` that a view of the unknown picks, times and plus what was applied to it."""
    picked = origin.map(lambda ids: ids.flatten()[value.ids.clamp(min=0)])
    picked = Value(picked.term, torch.where(value.ids < 0, -1, picked.ids), picked.scale, picked.offset)
    picked = picked.scaled(value.scale)
    return picked if value.offset is None else picked.plus(value.offset)


def _layouts(shape: tuple[int, ...]) -> Iterator[tuple[torch.Tensor, tuple[int, int]]]:
    """Ids of tokens [T, N] in the order of a shape: channels last, channels first, by heads; and (T, N)."""
    if not shape:
        return
    raster = torch.arange(math.prod(shape))
    width = shape[-1]
    yield raster.reshape(shape), (len(raster) // max(width, 1), width)
    if len(shape) >= 3 and shape[0] == 1:
        tokens, width = math.prod(shape[2:]), shape[1]
        yield raster.reshape(tokens, width).T.reshape(shape), (tokens, width)
    if len(shape) == 4:
        batch, heads, tokens, width = shape
        moved = raster.reshape(batch, tokens, heads, width).permute(0, 2, 1, 3)
        yield moved, (batch * tokens, heads * width)


def _linear(terms: Terms, unknown: Term, rows: tuple[int, int]) -> Term:
    """A linear layer's result [T, N]."""

    def build() -> Term:
        before = terms.new(Unknown(), (), "unknown", Source(), TensorType((rows[0], 1)))
        op = Linear(weight=np.ones((rows[1], 1), np.float32), bias=np.zeros(rows[1], np.float32))
        return terms.make(op, (before,), "unknown", Source())

    return terms.cached(("stand-in", unknown, rows), build)


def _scores(terms: Terms, unknown: Term, weights: bool) -> Term:
    """Attention scores [H, T, S], or their softmax."""
    heads, tokens, keys = (1, 1, 1, *unknown.shape)[-3:]
    kind = TensorType((heads, tokens, keys))

    def build() -> Term:
        scores = terms.new(Scores(heads=heads, scale=1.0), (), "unknown", Source(), kind)
        return terms.make(Softmax(), (scores,), "unknown", Source()) if weights else scores

    return terms.cached(("stand-in scores", unknown, weights), build)
