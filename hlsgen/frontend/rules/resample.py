# SPDX-License-Identifier: Apache-2.0
"""Fixed mixtures of tokens: pooling by windows, resampling, running sums. Each is a constant matrix."""

from __future__ import annotations

import math
from typing import Any

import torch

from hlsgen.frontend.rules.constants import fold
from hlsgen.frontend.rules.layers import linear
from hlsgen.frontend.rules.pool import mean
from hlsgen.frontend.rules.products import matmul
from hlsgen.frontend.rules.rule import CallSite, computed, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.views import within_tokens

LARGEST = 1 << 22
"""Elements of a matrix, at most."""


def mixed_by(at: CallSite, x: Value, axes: int, *args: Any, **kwargs: Any) -> Value:
    """What the call makes of the last axes of x, which it treats alike for each index of the others.

    It must be linear in x. What it makes of each element alone is a column of its matrix.
    """
    sizes = x.shape[-axes:]
    count = math.prod(sizes)
    if count**2 > LARGEST:
        raise Refusal(f"a matrix mixes {count} tokens", why=f"it must have at most {LARGEST:,} elements")
    ones = torch.eye(count, dtype=torch.float64).reshape(count, 1, *sizes)
    made = fold(at.call.target, (ones, *args), kwargs)
    matrix = made.flatten(1).T.contiguous()
    flat = x.map(lambda ids: ids.flatten(-axes))
    return _mixed(at, flat, matrix).map(lambda ids: ids.unflatten(-1, made.shape[2:]))


def _mixed(at: CallSite, x: Value, matrix: torch.Tensor) -> Value:
    """The matrix [M, N] times the last axis of x."""
    if bool(((matrix == 0) | (matrix == 1)).all()) and bool((matrix.sum(1) == 1).all()):
        return x.map(lambda ids: ids[..., matrix.argmax(1)])
    if within_tokens(x, 1):
        return linear(at, x, matrix)
    return matmul(at, matrix, x.map(lambda ids: ids.transpose(-1, -2))).map(lambda ids: ids.transpose(-1, -2))


@rule("aten.avg_pool1d.default", "aten.avg_pool2d.default")
def pool(at: CallSite, x: Any, kernel: Any, *rest: Any, **kwargs: Any) -> Value:
    """Means over windows; the mean over all is one of the machine's."""
    axes = int(at.call.target[len("aten.avg_pool")])
    x = computed(x, "the pooled tensor")
    whole = (list(kernel) * axes)[:axes] == list(x.shape[-axes:])
    if whole and not kwargs and not any(map(_given, rest[1:])):
        return mean(at, x, list(range(-axes, 0)), keepdim=True)
    return mixed_by(at, x, axes, kernel, *rest, **kwargs)


def _given(argument: Any) -> bool:
    return any(argument) if isinstance(argument, list | tuple) else argument not in (None, True, False)


@rule("aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default")
@rule("aten.adaptive_avg_pool3d.default")
def adaptive_pool(at: CallSite, x: Value, size: Any) -> Value:
    """The mean over all of the last axes, or means over parts of them."""
    axes = int(at.call.target[len("aten.adaptive_avg_pool")])
    wanted = list(size) if isinstance(size, list | tuple) else [size]
    if x.shape[-axes:] == tuple(wanted):
        return x
    if set(wanted) != {1}:
        return mixed_by(at, x, axes, size)
    return mean(at, x, list(range(-axes, 0)), keepdim=True)


@rule("aten.upsample_linear1d.vec", "aten.upsample_linear1d.default")
@rule("aten.upsample_bilinear2d.vec", "aten.upsample_bilinear2d.default")
@rule("aten.upsample_bicubic2d.vec", "aten.upsample_bicubic2d.default")
@rule("aten._upsample_bilinear2d_aa.vec", "aten._upsample_bilinear2d_aa.default")
@rule("aten.upsample_nearest1d.vec", "aten.upsample_nearest1d.default")
@rule("aten.upsample_nearest2d.vec", "aten.upsample_nearest2d.default")
def resample(at: CallSite, x: Value, *args: Any, **kwargs: Any) -> Value:
    """A grid of tokens of another size."""
    return mixed_by(at, x, len(x.shape) - 2, *args, **kwargs)


@rule("aten.cumsum.default")
def running_sum(at: CallSite, x: Value, dim: int, *, dtype: Any = None) -> Value:
    """Sums of all tokens so far."""
    if dtype not in (None, torch.float32):
        raise Refusal(f"a running sum must stay float32, not {dtype}")
    last = x.map(lambda ids: ids.movedim(dim, -1))
    size = last.shape[-1]
    return _mixed(at, last, torch.ones(size, size).tril()).map(lambda ids: ids.movedim(-1, dim))
