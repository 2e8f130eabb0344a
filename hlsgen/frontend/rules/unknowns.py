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
from hlsgen.ops import Linear, Patches, Scores, Softmax

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
    each = [list(itertools.islice(_stand_ins(terms, image, value), MOST)) for value in unknowns.values()]
    for indices in itertools.islice(plainest([len(found) for found in each]), MOST):
        chosen = [found[index] for found, index in zip(each, indices, strict=True)]
        yield dict(zip(unknowns, chosen, strict=True))


def plainest(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Indices below the counts, all combinations: those with the smallest sum first.

    They are made one by one: a call that joins many unknowns has more than any memory holds.
    """
    for total in range(sum(count - 1 for count in counts) + 1):
        yield from _summing(counts, total)


def _summing(counts: Sequence[int], total: int) -> Iterator[tuple[int, ...]]:
    """Indices below the counts with this sum."""
    if not counts:
        yield ()
        return
    most = sum(count - 1 for count in counts[1:])
    for first in range(max(0, total - most), min(counts[0] - 1, total) + 1):
        yield from ((first, *rest) for rest in _summing(counts[1:], total - first))


def _stand_ins(terms: Terms, image: Term, value: Value) -> Iterator[Any]:
    """Values of the same shape; a view of an unknown is the same view of its stand-in."""
    op, shape = value.term.op, value.term.shape
    assert isinstance(op, Unknown)
    if op.constant:
        yield from (torch.zeros(value.shape), torch.ones(value.shape))
        return
    if op.of is not None:
        origins = iter([op.of]) if not is_unknown(op.of) else _stand_ins(terms, image, op.of)
        yield from (_view(origin, value) for origin in origins)
    for ids, rows in layouts(shape):
        yield _view(Value(_linear(terms, value.term, rows), ids), value)
    for patch, ids in grids(image, shape):
        yield _view(Value(embedding(terms, value.term, image, patch), ids), value)
    if math.prod(shape) == image.size:
        yield _view(terms.value(image, shape), value)
    if len(shape) >= 3 and math.prod(shape[:-3]) == 1:
        for weights in (False, True):
            yield _view(terms.value(scores(terms, value.term, weights), shape), value)


def _view(origin: Any, value: Value) -> Any:
    """The elements of `origin` that a view of the unknown picks, times and plus what was applied to it."""
    picked = origin.map(lambda ids: ids.flatten()[value.ids.clamp(min=0)])
    picked = Value(picked.term, torch.where(value.ids < 0, -1, picked.ids), picked.scale, picked.offset)
    picked = picked.scaled(value.scale)
    return picked if value.offset is None else picked.plus(value.offset)


def layouts(shape: tuple[int, ...]) -> Iterator[tuple[torch.Tensor, tuple[int, int]]]:
    """Ids of tokens [T, N] in the order of a shape, and (T, N): channels last, first, images, by heads."""
    if not shape:
        return
    raster = torch.arange(math.prod(shape))
    width = shape[-1]
    yield raster.reshape(shape), (len(raster) // max(width, 1), width)
    if len(shape) >= 3 and shape[0] == 1:
        tokens, width = math.prod(shape[2:]), shape[1]
        yield raster.reshape(tokens, width).T.reshape(shape), (tokens, width)
    if len(shape) >= 4:  # each token is an image
        tokens = shape[0] if shape[0] > 1 else shape[1]
        yield raster.reshape(shape), (tokens, len(raster) // max(tokens, 1))
    if len(shape) == 4:
        batch, heads, tokens, width = shape
        moved = raster.reshape(batch, tokens, heads, width).permute(0, 2, 1, 3)
        yield moved, (batch * tokens, heads * width)


def grids(image: Term, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    """Patch sizes for which a shape may be the patch embedding, channels first or last, and its ids."""
    _, height, width = image.shape
    if len(shape) not in (3, 4) or shape[0] != 1:
        return
    for first in (True, False):
        channels, grid = (shape[1], shape[2:]) if first else (shape[-1], shape[1:-1])
        tokens = math.prod(grid)
        count = grid[0] if len(grid) == 2 else round(math.sqrt(tokens * height / width))
        ids = torch.arange(tokens * channels).reshape(tokens, channels)
        edge = (height // max(count, 1), width * count // max(tokens, 1))
        tiles = 0 not in edge and height % edge[0] == width % edge[1] == 0
        if tiles and (height // edge[0]) * (width // edge[1]) == tokens:
            yield edge, (ids.T if first else ids).reshape(shape)


def embedding(terms: Terms, unknown: Term, image: Term, patch: tuple[int, int]) -> Term:
    """A patch embedding's result, before bias and positions."""
    channels = unknown.size // ((image.shape[1] // patch[0]) * (image.shape[2] // patch[1]))

    def build() -> Term:
        cut = terms.make(Patches(patch=patch), (image,), "patches", Source())
        weight = np.ones((channels, cut.shape[-1]), np.float32)
        op = Linear(weight=weight, bias=np.zeros(channels, np.float32))
        return terms.make(op, (cut,), "unknown", Source())

    return terms.cached(("stand-in embedding", unknown, patch), build)


def _linear(terms: Terms, unknown: Term, rows: tuple[int, int]) -> Term:
    """A linear layer's result [T, N]."""

    def build() -> Term:
        before = terms.new(Unknown(), (), "unknown", Source(), TensorType((rows[0], 1)))
        op = Linear(weight=np.ones((rows[1], 1), np.float32), bias=np.zeros(rows[1], np.float32))
        return terms.make(op, (before,), "unknown", Source())

    return terms.cached(("stand-in", unknown, rows), build)


def scores(terms: Terms, unknown: Term, weights: bool) -> Term:
    """Attention scores [H, T, S], or their softmax."""
    heads, tokens, keys = (1, 1, 1, *unknown.shape)[-3:]
    kind = TensorType((heads, tokens, keys))

    def build() -> Term:
        made = terms.new(Scores(heads=heads, scale=1.0), (), "unknown", Source(), kind)
        return terms.make(Softmax(), (made,), "unknown", Source()) if weights else made

    return terms.cached(("stand-in scores", unknown, weights), build)
