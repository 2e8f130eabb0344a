# SPDX-License-Identifier: Apache-2.0
"""Linear layers on pixels, and those behind them as long as no token has met another: the patch embedding.

What happens to the pixels before (a normalisation, a repeated frame, another order) goes into the weights and
into the constants of the tokens.
"""

from __future__ import annotations

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import matrix
from hlsgen.frontend.rules.cut import match_patches, patch_linear
from hlsgen.frontend.rules.rule import CallSite, array
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.tokens import by_column
from hlsgen.ops import Linear, Patches


def image_linear(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    """A linear layer whose rows are patches of the image; weight [N, K] for rows of K elements."""
    rows = matrix(x)
    ids = rows.ids.numpy()
    if not ids.size:
        raise Refusal("a linear layer on the image must read some pixels")
    inner = ids[(ids >= 0).sum(1).argmax()]  # a patch that has no pixel beyond the image
    first, inverse = np.unique(inner, return_index=True, return_inverse=True)[1:]
    base = ids[:, first]
    used = inner[first] >= 0
    alike = np.array_equal(base[:, inverse], ids) and not bool((base[:, ~used] >= 0).any())
    found = match_patches(at.image.shape, base[:, used]) if alike else None
    if found is None:
        raise Refusal(
            "a linear layer on the image must read patches of it",
            why="the machine takes patches of one size and one stride of the unchanged image",
        )
    op, order = found
    moved = weight if _plain(rows, inverse) else _collected(rows, weight, inverse, len(first))
    moved = moved[:, (first if _plain(rows, inverse) else np.arange(len(first)))[used]]
    name = at.name("patch_embed", parameter=1)
    term = patch_linear(at.terms, at.image, op, array(moved), name, at.call.source)
    rank = np.argsort(order)
    width = len(weight)
    numbers = torch.from_numpy(rank)[:, None] * width + torch.arange(width)
    return _shifted(Value(term, numbers), rows.offset, weight, bias).map(
        lambda part: part.reshape(*x.shape[:-1], width)
    )


def overlapping(
    at: CallSite,
    x: Value,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Value:
    """A convolution of the whole image [1, C, H, W] with any stride and padding: [1, D, rows, columns]."""
    channels, height, width = at.image.shape
    scale = torch.as_tensor(x.scale, dtype=torch.float64).expand(x.shape).reshape(channels, -1)
    if not bool((scale == scale[:, :1]).all()):
        raise Refusal("the pixels of a channel must have one factor", why="it becomes a part of the weights")
    patch = (weight.shape[2], weight.shape[3])
    op = Patches(patch=patch, stride=stride, padding=(padding[0], padding[0], padding[1], padding[1]))
    rows, columns = (window.count for window in op.windows(height, width))
    if min(rows, columns) < 1:
        raise Refusal(f"image {height}x{width} must hold a kernel of {'x'.join(map(str, op.patch))}")
    moved = array(weight.double() * scale[:, 0, None, None]).reshape(len(weight), -1)
    name = at.name("patch_embed", parameter=1)
    term = patch_linear(at.terms, at.image, op, moved, name, at.call.source)
    value = Value(term, torch.arange(rows * columns * len(moved)).reshape(-1, len(moved)))
    if x.offset is not None:  # zeros beyond the image have none
        fixed = torch.nn.functional.conv2d(x.offset, weight.double(), stride=stride, padding=padding)
        value = value.plus(fixed.reshape(len(moved), -1).T)
    value = value if bias is None else value.plus(bias)
    return value.map(lambda part: part.T.reshape(1, len(moved), rows, columns))


def _plain(rows: Value, inverse: np.ndarray) -> bool:
    """Whether each element is one pixel, as it is."""
    once = len(np.unique(inverse)) == len(inverse)
    return once and not isinstance(rows.scale, torch.Tensor) and rows.scale == 1.0


def _collected(rows: Value, weight: torch.Tensor, inverse: np.ndarray, count: int) -> torch.Tensor:
    """The weight of each different pixel of a row: those of all its copies, times their factors."""
    scaled = weight.double() * torch.as_tensor(by_column(rows), dtype=torch.float64)
    return torch.zeros(len(weight), count, dtype=torch.float64).index_add_(
        1, torch.from_numpy(inverse), scaled
    )


def _shifted(
    value: Value, offset: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor | None
) -> Value:
    """The result with what constants of the input make of it, and the bias."""
    if offset is not None:
        value = value.plus(offset @ weight.double().T)
    return value if bias is None else value.plus(bias)


def embedded(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    """A linear layer on the patch embedding: one layer for both, on the tokens' constants too."""
    rows, inner = matrix(x), x.term.op
    ids, width = rows.ids, x.term.shape[-1]
    fixed = (ids < 0).all(1)
    columns = ids[~fixed] % width
    token = ids[~fixed] // width
    if not isinstance(inner, Linear) or not len(columns):
        raise Refusal("the elements do not lie in token order here")
    if not bool((columns == columns[0]).all()) or not bool((token == token[:, :1]).all()):
        raise Refusal(
            "the elements do not lie in token order here",
            why="each row of a linear layer's input must be one token",
        )
    spread = torch.zeros(len(weight), width, dtype=torch.float64)
    scale = torch.as_tensor(by_column(rows), dtype=torch.float64)
    spread.index_add_(1, columns[0], weight.double() * scale)
    total = spread.numpy() @ inner.weight
    op = Linear(weight=total, bias=np.zeros(len(total)))
    term = at.terms.make(op, x.term.inputs, at.name("linear", parameter=1), at.call.source)
    numbers = torch.full((len(ids), len(weight)), -1)
    numbers[~fixed] = token[:, :1] * len(weight) + torch.arange(len(weight))
    value = _shifted(Value(term, numbers), rows.offset, weight, bias)
    return value.map(lambda part: part.reshape(*x.shape[:-1], len(weight)))
