# SPDX-License-Identifier: Apache-2.0
"""Which patches of the image some rows of its pixels are."""

from __future__ import annotations

import numpy as np

from hlsgen.frontend.read.places import identifier
from hlsgen.frontend.rules.terms import Term, Terms
from hlsgen.ir import Source
from hlsgen.ops import Linear, Patches


def patch_linear(
    terms: Terms, image: Term, op: Patches, weight: np.ndarray, name: str, source: Source
) -> Term:
    """Patches -> linear without bias; weight [D, C*ph*pw]."""
    key = ("patches", op.patch, op.stride, op.padding)
    patches = terms.cached(key, lambda: terms.make(op, (image,), "patches", source))
    layer = Linear(weight=weight, bias=np.zeros(len(weight), weight.dtype))
    return terms.make(layer, (patches,), identifier(name), source)


def match_patches(image: tuple[int, ...], ids: np.ndarray) -> tuple[Patches, np.ndarray] | None:
    """The patches [T, K] that rows of pixels are, -1 beyond the image [C, H, W], or None.

    Also the row of each patch: of the first one in raster order, and so on. The pixels of a row ascend.
    Patches may overlap, have gaps and go beyond the image, but one must lie within it, and none without.
    """
    inside = ids >= 0
    if not ids.size or not inside.all(1).any() or not inside.any(1).all():
        return None
    whole = int(inside.all(1).argmax())
    channel, y, x = np.unravel_index(ids.clip(0), image)
    down, across = y[whole] - y[whole].min(), x[whole] - x[whole].min()
    patch = int(down.max()) + 1, int(across.max()) + 1
    elements = (channel[whole] * patch[0] + down) * patch[1] + across
    if not np.array_equal(elements, np.arange(image[0] * patch[0] * patch[1])):
        return None
    known = np.arange(len(ids)), inside.argmax(1)
    top, left = (y - down)[known], (x - across)[known]
    (first, steps, below), (start, moves, behind) = (
        _line(*axis) for axis in zip((top, left), patch, image[1:], strict=True)
    )
    stride = (0, 0) if (steps, moves) == patch else (steps, moves)
    op = Patches(patch=patch, stride=stride, padding=(first, below, start, behind))
    order = np.lexsort((left, top))
    pixels = np.arange(1, np.prod(image) + 1).reshape(image)
    found = op.reference(pixels) - 1  # zeros beyond the image
    return (op, order) if np.array_equal(found, ids[order]) else None


def _line(places: np.ndarray, size: int, length: int) -> tuple[int, int, int]:
    """Of windows that begin at these places of an axis: elements before it, the step, elements behind it."""
    found = np.unique(places)
    step = int(found[1] - found[0]) if len(found) > 1 else size
    return -int(found[0]), step, int(found[-1]) + size - length
