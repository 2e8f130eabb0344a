# SPDX-License-Identifier: Apache-2.0
"""Rules for convolutions: patches of the image, and 1x1 on tokens."""

from __future__ import annotations

import math
from typing import Any

from hlsgen.frontend.rules.layers import linear
from hlsgen.frontend.rules.patches import overlapping
from hlsgen.frontend.rules.rule import CallSite, computed, constant, rule
from hlsgen.frontend.rules.terms import Refusal, Value

_PATCHES_ONLY = "a convolution cuts the image into patches; no other has a place on the machine"


def _each(value: Any, axes: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


@rule("aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding")
@rule("aten.conv3d.default", "aten.conv3d.padding")
def convolution(
    at: CallSite,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """A convolution of the image, or one that reads each element of its input once."""
    weight = constant(weight, "the convolution's weight")
    kernel = tuple(map(int, weight.shape[2:]))
    axes = len(kernel)
    single = set(kernel) == {1}
    if padding == "valid" or (padding == "same" and single):
        padding = 0
    moved = _each(stride, axes), (0,) * axes if isinstance(padding, str) else _each(padding, axes)
    whole = axes == 2 and groups == 1 and not isinstance(padding, str) and set(_each(dilation, axes)) == {1}
    if whole and isinstance(x, Value) and x.term is at.image and _cut(x, kernel, *moved):
        return overlapping(at, x, weight, bias, *moved)
    wanted = [
        ("stride", kernel, _each(stride, axes)),
        ("padding", (0,) * axes, padding if isinstance(padding, str) else _each(padding, axes)),
        ("dilation", (1,) * axes, (1,) * axes if single else _each(dilation, axes)),
        ("groups", 1, groups),
    ]
    _refuse_others(wanted)
    x = computed(x, "the convolution's input")
    x = x if len(x.shape) == axes + 2 else x.map(lambda ids: ids[None])
    if x.term is not at.image and not single:
        raise Refusal("the convolution's input must be the image itself", why=_PATCHES_ONLY)
    sizes = x.shape[2:]
    if any(size % edge for size, edge in zip(sizes, kernel, strict=True)):
        image, patch = ("x".join(map(str, numbers)) for numbers in (sizes, kernel))
        raise Refusal(f"image {image} must be divisible by the patch {patch}")
    counts = tuple(size // edge for size, edge in zip(sizes, kernel, strict=True))
    result = linear(at, windows(x, counts, kernel), weight.flatten(1), bias)
    last = len(counts)
    return result.map(lambda ids: ids.reshape(*counts, -1).permute(last, *range(last))[None])


def _refuse_others(wanted: list[tuple[str, Any, Any]]) -> None:
    """Refuse arguments, as (name, what it must be, what it is), that are not what they must be."""
    wrong = [f"{what} must be {right}, not {found!r}" for what, right, found in wanted if found != right]
    if wrong:
        raise Refusal(f"convolution {'; '.join(wrong)}", why=_PATCHES_ONLY, intrinsic=True)


def _cut(x: Value, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> bool:
    """Whether the patches overlap, have gaps, or leave some of the image out."""
    exact = all(size % edge == 0 for size, edge in zip(x.shape[-2:], kernel, strict=True))
    return len(x.shape) in (3, 4) and not (stride == kernel and not any(padding) and exact)


def windows(x: Value, counts: tuple[int, ...], kernel: tuple[int, ...]) -> Value:
    """Rows [prod(counts), channels * prod(kernel)] of [1, channels, *sizes]."""
    if x.shape[0] != 1:
        raise Refusal(f"a convolution must read one image, not {x.shape[0]}", why=_PATCHES_ONLY)
    axes = len(counts)
    parts = tuple(size for pair in zip(counts, kernel, strict=True) for size in pair)
    order = (*range(1, 2 * axes, 2), 0, *range(2, 2 * axes + 1, 2))
    rows = math.prod(counts)
    return x.map(lambda ids: ids.reshape(x.shape[1], *parts).permute(order).reshape(rows, -1))


@rule("aten.convolution.default")
def any_convolution(
    at: CallSite,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    _: Any,
    groups: int,
) -> Value:
    """What torch decomposes a convolution to."""
    if transposed:
        raise Refusal("a transposed convolution is not supported", why=_PATCHES_ONLY, intrinsic=True)
    return convolution(at, x, weight, bias, stride, padding, dilation, groups)
