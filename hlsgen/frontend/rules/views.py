# SPDX-License-Identifier: Apache-2.0
"""Operators that move, drop or repeat elements: executed by torch itself, on the elements' ids."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from hlsgen.frontend.rules.constants import fold
from hlsgen.frontend.rules.rule import CallSite, computed, rule
from hlsgen.frontend.rules.terms import Refusal, Term, Value

_VIEW = """
view.default view_copy.default reshape.default flatten.using_ints unflatten.int transpose.int
permute.default t.default numpy_T.default mT.default swapaxes.default swapdims.default movedim.int
movedim.intlist squeeze.default squeeze.dim squeeze.dims unsqueeze.default expand.default select.int
slice.Tensor narrow.default unbind.int split.Tensor split.sizes split_with_sizes.default chunk.default
tensor_split.sections flip.default roll.default repeat.default index_select.default
repeat_interleave.self_int _unsafe_view.default _reshape_alias.default tensor_split.indices
split.default hsplit.int vsplit.int diagonal.default rot90.default fliplr.default flipud.default
squeeze_.dim unsqueeze_.default transpose_.default t_.default ravel.default tile.default
adjoint.default moveaxis.int moveaxis.intlist atleast_2d.default atleast_3d.default unfold.default
"""
_COPY = """
narrow_copy.default expand_copy.default permute_copy.default pixel_unshuffle.default pixel_shuffle.default
channel_shuffle.default _unsafe_index.Tensor take_along_dim.default
"""
_SAME = """
contiguous.default clone.default alias.default detach.default lift_fresh_copy.default positive.default
detach_.default
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(f"aten.{name}" for name in text.split())


VIEWS, SAME = _names(_VIEW), _names(_SAME)
"""Operators whose result shares elements with their first argument."""
CASTS = _names("to.dtype to.dtype_layout to.device _to_copy.default type_as.default")


@rule(*VIEWS, *_names(_COPY))
def view(at: CallSite, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Run the operator on ids, factors and offset."""
    x = computed(x, "the tensor")
    if any(isinstance(item, Value) for item in tree_leaves((args, kwargs))):
        raise Refusal(
            f"{at.call.target} chooses elements by what the image holds",
            why="hardware runs one fixed program for every image",
        )

    def move(tensor: torch.Tensor) -> Any:
        # Ids are not laid out in memory as the model's tensor was: there, `view` was possible.
        tensor = tensor.contiguous() if "view" in at.call.target else tensor
        return fold(at.call.target, (tensor, *args), kwargs)

    ids = move(x.ids)
    if isinstance(ids, torch.Tensor):
        return x.map(move)
    return tuple(x.map(lambda tensor, i=i: move(tensor)[i]) for i in range(len(ids)))


@rule("aten.expand_as.default", "aten.view_as.default", "aten.reshape_as.default")
def like_other(at: CallSite, x: Any, other: Any) -> Any:
    """The shape of another tensor, of which nothing else is read."""
    shape = tuple(other.shape)
    move = torch.Tensor.expand if "expand" in at.call.target else torch.Tensor.reshape
    return x.map(lambda ids: move(ids, shape)) if isinstance(x, Value) else move(x, shape)


@rule("aten.pad.default", "aten.constant_pad_nd.default")
def pad(at: CallSite, x: Value, sizes: list[int], *more: Any, **named: Any) -> Value:
    """Constants around the image, a token's elements, or tokens; nothing, where nothing is added or cut."""
    mode, value = _filling(*more, **named)
    constant = mode == "constant"
    if max(sizes, default=0) > 0 and not (
        constant and (x.term is at.image or within_tokens(x, len(sizes) // 2) or _around_tokens(x, sizes))
    ):
        raise Refusal(
            f"the tensor is padded by {list(sizes)}",
            why="the machine has the tokens of the whole image, and no others",
            fix="take an image size that needs no padding",
        )
    return _around(x, lambda part, fill: torch.nn.functional.pad(part, sizes, value=fill), float(value or 0))


def _filling(*given: Any, mode: str = "constant", value: Any = None) -> tuple[str, Any]:
    """Mode and value of a padding: `pad` has both, `constant_pad_nd` the value alone."""
    if given and isinstance(given[0], str):
        mode, given = given[0], given[1:]
    return mode, given[0] if given else value


def within_tokens(x: Value, axes: int) -> bool:
    """Whether the last axes lead from each element to others of its token."""
    if len(x.term.shape) != 2 or not x.ids.numel():
        return False
    token = torch.where(x.ids < 0, -1, x.ids // x.term.shape[-1]).flatten(-axes)
    return bool((token == token[..., :1]).all())


def _around_tokens(x: Value, sizes: list[int]) -> bool:
    """Whether tokens are added to those of one term, each with all of its channels, on an axis of theirs."""
    axes = len(x.shape)
    padded = {axes - 1 - number // 2 for number, size in enumerate(sizes) if size}
    others = (
        x.map(lambda ids, axis=axis: ids.movedim(axis, -1)) for axis in range(axes) if axis not in padded
    )
    return any(part.shape[-1] > 1 and within_tokens(part, 1) for part in others)


def _around(x: Value, move: Callable[[torch.Tensor, float], torch.Tensor], value: float = 0.0) -> Value:
    """A movement that fills places with a number: these have no id."""
    ids = move(x.ids.double() + 1, 0.0).long() - 1
    scale = move(x.scale, 1.0) if isinstance(x.scale, torch.Tensor) else x.scale
    offset = torch.zeros(x.shape, dtype=torch.float64) if x.offset is None else x.offset
    offset = move(offset, value)
    return Value(x.term, ids, scale, offset if bool(offset.any()) else None)


@rule("aten.im2col.default")
def im2col(_: CallSite, x: Value, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Windows [B, channels * kernel, windows] of images [B, channels, *sizes]; zeros around each image."""
    x = computed(x, "the image")
    fixed = {"dilation": dilation, "padding": padding, "stride": stride}
    return _around(x, lambda part, _: torch.nn.functional.unfold(part, kernel, **fixed))


@rule("aten.col2im.default")
def col2im(_: CallSite, x: Value, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Images of windows that do not overlap: what `im2col` has cut."""
    fixed = {"dilation": dilation, "padding": padding, "stride": stride}
    count = torch.nn.functional.fold(torch.ones(x.shape, dtype=torch.float64), size, kernel, **fixed)
    if int(count.max()) > 1:
        raise Refusal(
            "windows that overlap are added up",
            why="a place takes one result; the machine adds whole tensors",
            fix="fold windows with the stride of their size, or add the results of each place",
        )
    return _around(x, lambda part, _: torch.nn.functional.fold(part.double(), size, kernel, **fixed))


@rule(*SAME)
def same(_: CallSite, x: Value, **__: Any) -> Value:
    """Nothing changes."""
    return x


@rule(*CASTS)
def cast(_: CallSite, x: Value, *args: Any, **kwargs: Any) -> Value:
    """Casts to float32 change nothing; no other type is supported."""
    for wanted in (*args, *kwargs.values()):
        dtype = wanted.dtype if isinstance(wanted, torch.Tensor) else wanted
        if isinstance(dtype, torch.dtype) and dtype is not torch.float32:
            raise Refusal(
                f"activations must be float32, not {str(dtype).removeprefix('torch.')}",
                why="the float model is the reference for quantization",
                fix="remove the cast or autocast",
                intrinsic=True,
            )
    return x


@rule("aten.cat.default", "aten.stack.default")
def join(at: CallSite, tensors: tuple[Any, ...], dim: int = 0) -> Value:
    """Join values and constants; constants get the id -1."""
    return joined(at, at.call.target, tensors, dim)


def stacked(at: CallSite, values: list[Value]) -> Value:
    """Values of one shape along a new first axis."""
    return joined(at, "aten.stack.default", tuple(values), 0)


def joined(at: CallSite, operator: str, tensors: tuple[Any, ...], dim: int) -> Value:
    """What `cat` or `stack` makes of values and constants."""
    values = [item for item in tensors if isinstance(item, Value)]
    found = tuple(dict.fromkeys(item.term for item in values))
    whole = found[0] if len(found) == 1 else at.terms.join(found, at.call.source)
    starts = dict(zip(found, itertools.accumulate((term.size for term in found), initial=0), strict=False))
    ids = [_placed(x, starts) if isinstance(x, Value) else torch.full(x.shape, -1) for x in tensors]
    result, offset, scale = (
        fold(operator, (parts, dim), {})
        for parts in (ids, [_offset(x) for x in tensors], [_scale(x) for x in tensors])
    )
    first = values[0].scale
    if not any(isinstance(x.scale, torch.Tensor) or x.scale != first for x in values):
        scale = first
    return Value(whole, result, scale, offset if bool(offset.any()) else None)


def _placed(x: Value, starts: dict[Term, int]) -> torch.Tensor:
    """The value's ids among the elements of all terms that are joined."""
    return torch.where(x.ids < 0, -1, x.ids + starts[x.term])


def _scale(x: Any) -> torch.Tensor:
    """The value's factors, 1 for constants."""
    scale = x.scale if isinstance(x, Value) else 1.0
    return torch.as_tensor(scale, dtype=torch.float64).expand(x.shape)


@rule(*_names("zeros_like.default ones_like.default full_like.default"))
@rule(*_names("new_zeros.default new_ones.default new_full.default"))
def like(at: CallSite, x: Value, *args: Any, **kwargs: Any) -> torch.Tensor:
    """A constant of the value's shape."""
    return fold(at.call.target, (torch.zeros(x.shape), *args), kwargs)


def _offset(x: Any) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        return x.double()
    return torch.zeros(x.shape, dtype=torch.float64) if x.offset is None else x.offset
