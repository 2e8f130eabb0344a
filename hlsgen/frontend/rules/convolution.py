# SPDX-License-Identifier: Apache-2.0
"""Rules for convolutions: patches of the image, 1x1 on tokens, and any in which each token is an image."""

from __future__ import annotations

import math
from typing import Any

import torch

from hlsgen.frontend.rules.layers import linear
from hlsgen.frontend.rules.patches import overlapping
from hlsgen.frontend.rules.rule import CallSite, computed, floats, rule
from hlsgen.frontend.rules.terms import Join, Refusal, Value
from hlsgen.frontend.rules.views import im2col
from hlsgen.windows import Windows

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
    weight = floats(weight, "the convolution's weight")
    kernel = tuple(map(int, weight.shape[2:]))
    axes = len(kernel)
    single = set(kernel) == {1}
    if isinstance(x, Value):
        found = shared(x, weight, groups)
        if within(at, found[0], axes):
            return within_tokens(at, *found, bias, (stride, padding, dilation), x.shape[:-axes])
    if single and groups > 1:
        weight, groups = ungrouped(weight, groups), 1
    if padding == "valid" or (padding == "same" and single):
        padding = 0
    moved = _each(stride, axes), (0,) * axes if isinstance(padding, str) else _each(padding, axes)
    whole = axes == 2 and groups == 1 and not isinstance(padding, str) and set(_each(dilation, axes)) == {1}
    if whole and isinstance(x, Value) and x.term is at.image and _cut(x, kernel, *moved):
        return _of_image(at, x if len(x.shape) == 4 else x.map(lambda ids: ids[None]), weight, bias, *moved)
    wanted = [
        ("stride", kernel, _each(stride, axes)),
        ("padding", (0,) * axes, padding if isinstance(padding, str) else _each(padding, axes)),
        ("dilation", (1,) * axes, (1,) * axes if single else _each(dilation, axes)),
        ("groups", 1, groups),
    ]
    _refuse_others(wanted)
    return _patches(at, computed(x, "the convolution's input"), weight, bias)


def _of_image(at: CallSite, x: Value, weight: torch.Tensor, bias: Any, stride: Any, padding: Any) -> Value:
    """A convolution of the image, or of a part of it, or with constants around it."""
    if x.shape[1:] == at.image.shape and torch.equal(x.ids.flatten(), torch.arange(at.image.size)):
        return overlapping(at, x, weight, bias, stride, padding)
    kernel = tuple(map(int, weight.shape[2:]))
    rows = im2col(at, x, kernel, 1, padding, stride).map(lambda ids: ids[0].T)
    result = linear(at, rows, weight.flatten(1), bias)
    sides = zip(x.shape[2:], kernel, stride, padding, strict=True)
    counts = [Windows.over(size, edge, step, (more, more)).count for size, edge, step, more in sides]
    return result.map(lambda ids: ids.T.reshape(1, -1, *counts))


def _patches(at: CallSite, x: Value, weight: torch.Tensor, bias: Any) -> Value:
    """A convolution that reads each element once: of the image, or of one element of each channel."""
    kernel = tuple(map(int, weight.shape[2:]))
    axes, single = len(kernel), set(kernel) == {1}
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


def shared(x: Value, weight: torch.Tensor, groups: int) -> tuple[Value, torch.Tensor, int]:
    """A grouped convolution whose groups have the same weights is one of each group: they join the batch.

    x: [B, channels, *sizes] or [channels, *sizes]. The result is [B * groups, channels / groups, *sizes], or
    everything as it was, with the batch's axis.
    """
    x = x if len(x.shape) == weight.dim() else x.map(lambda ids: ids[None])
    each = weight.reshape(groups, -1, *weight.shape[1:])
    if groups == 1 or not bool((each == each[:1]).all()):
        return x, weight, groups
    size = x.shape[1] // groups
    return x.map(lambda ids: ids.reshape(-1, size, *ids.shape[2:])), each[0], 1


def within(at: CallSite, x: Value, axes: int) -> bool:
    """Whether each of the images [B, channels, *sizes] is one token, or one channel of all tokens."""
    if len(x.shape) != axes + 2:
        return False
    count, length = x.shape[0], math.prod(x.shape[1:])
    if x.term is at.image:
        channels = (x.ids.flatten(1) // math.prod(at.image.shape[1:])).unique(dim=1).shape[1]
        return count > 1 and channels == at.image.shape[0] and length * count <= at.image.size
    terms = x.term.inputs if isinstance(x.term.op, Join) else (x.term,)
    whole = all(len(term.shape) == 2 and length <= max(term.shape) for term in terms)
    return whole and (count > 1 or x.term.shape[0] == 1)


def within_tokens(
    at: CallSite,
    x: Value,
    weight: torch.Tensor,
    groups: int,
    bias: Any,
    moved: tuple[Any, Any, Any],
    shape: tuple[int, ...],
) -> Value:
    """A convolution of images [B, channels, *sizes] that are tokens: a linear layer with a Toeplitz matrix.

    Its weights are what the convolution makes of each element alone. shape: of the call's own input, without
    the sizes; the last of it are the channels, of all groups.
    """
    sizes = x.shape[1:]
    ones = torch.eye(math.prod(sizes), dtype=weight.dtype).reshape(-1, *sizes)
    functions = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)
    made = functions[len(sizes) - 2](ones, weight, None, *moved, groups)
    result = linear(at, x.map(lambda ids: ids.flatten(1)), made.flatten(1).T)
    result = result.map(lambda ids: ids.reshape(*shape[:-1], -1, *made.shape[2:]))
    if bias is None:
        return result
    bias = floats(bias, "the convolution's bias")
    return result.plus(bias.reshape(-1, *(1,) * (len(sizes) - 1)))


def ungrouped(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The weight [N, K] of a convolution 1x1 in groups as one without: zeros between groups."""
    each = weight.flatten(1).reshape(groups, -1, weight.shape[1])
    return torch.block_diag(*each).reshape(len(weight), -1, *weight.shape[2:])


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
