# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that move, repeat or make elements, as ATen calls."""

from __future__ import annotations

import math
from typing import Any

import torch

from hlsgen.frontend.read.bounds import MOST_ELEMENTS, Damaged
from hlsgen.frontend.read.onnx_node import Node, operator
from hlsgen.frontend.read.onnx_program import Unreadable
from hlsgen.frontend.read.onnx_tensor import dtype


@operator("Identity")
def identity(at: Node) -> Any:
    """Nothing changes."""
    return at.need(0)


@operator("Dropout")
def dropout(at: Node) -> Any:
    """Nothing changes: files for inference have no training mode."""
    mode = at.get(2)
    if mode is not None and (not isinstance(mode, torch.Tensor) or bool(mode.any())):
        raise Unreadable("training mode")
    return at.need(0)


@operator("Reshape")
def reshape(at: Node) -> Any:
    """A size of 0 is the input's, unless `allowzero` says otherwise."""
    x, sizes = at.need(0), at.integers(1, "a shape")
    if not at.attributes.get("allowzero", 0):
        before = at.shape(x)
        if any(size == 0 and axis >= len(before) for axis, size in enumerate(sizes)):
            raise Damaged("Reshape: 0 must stand for an axis of the input")
        sizes = [before[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return at.call("reshape.default", x, sizes)


@operator("Flatten")
def flatten(at: Node) -> Any:
    """To a matrix, split at an axis."""
    x = at.need(0)
    shape = at.shape(x)
    axis = int(at.attributes.get("axis", 1)) % (len(shape) + 1)
    return at.call("reshape.default", x, [math.prod(shape[:axis]), math.prod(shape[axis:])])


@operator("Transpose")
def transpose(at: Node) -> Any:
    """Without `perm` all axes are turned round."""
    x = at.need(0)
    order = at.attributes.get("perm") or list(range(len(at.shape(x))))[::-1]
    return at.call("permute.default", x, list(order))


@operator("Squeeze")
def squeeze(at: Node) -> Any:
    """Axes of size 1 go."""
    axes, x = at.axes(1), at.need(0)
    return at.call("squeeze.default", x) if axes is None else at.call("squeeze.dims", x, axes)


@operator("Unsqueeze")
def unsqueeze(at: Node) -> Any:
    """Axes of the result, each of size 1."""
    x, axes = at.need(0), at.axes(1) or []
    rank = len(at.shape(x)) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = at.call("unsqueeze.default", x, axis)
    return x


@operator("Concat")
def concat(at: Node) -> Any:
    """Joined along an axis."""
    parts = [at.need(index) for index in range(len(at.inputs))]
    return at.call("cat.default", parts, int(at.attributes["axis"]))


@operator("Split")
def split(at: Node) -> Any:
    """Parts of given sizes, or of equal ones."""
    x, axis = at.need(0), int(at.attributes.get("axis", 0))
    size, sizes = at.shape(x)[axis], at.axes(1, "split")
    if sizes is None:
        step = -(-size // len(at.outputs))
        sizes = [min(step, size - start) for start in range(0, size, step)]
    if len(sizes) != len(at.outputs) or sum(sizes) != size:
        raise Damaged(f"Split: {len(at.outputs)} parts of {sizes} must make {size}")
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return tuple(at.call("narrow.default", x, axis, s, n) for s, n in zip(starts, sizes, strict=True))


@operator("Slice")
def slice_(at: Node) -> Any:
    """A range of each axis; backwards as a flip."""
    x, starts, ends = at.need(0), at.integers(1, "a range"), at.integers(2, "a range")
    axes = list(range(len(starts))) if at.get(3) is None else at.integers(3, "a range")
    steps = [1] * len(starts) if at.get(4) is None else at.integers(4, "a range")
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Damaged("Slice: starts, ends, axes and steps must be as many")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = at.shape(x)[axis]
        if (start, step) == (-1, -1) and end < -size:
            x = at.call("flip.default", x, [axis])
        elif step < 1:
            raise Unreadable("a negative step")
        else:
            x = at.call("slice.Tensor", x, axis, start, min(end, size), step)
    return x


@operator("Gather")
def gather(at: Node) -> Any:
    """Rows of an axis by constant indices."""
    x, index, axis = at.need(0), at.known(1, "indices"), int(at.attributes.get("axis", 0))
    size = at.shape(x)[axis]
    if index.dim() == 0:
        return at.call("select.int", x, axis, int(index))
    flat = torch.where(index < 0, index + size, index).reshape(-1).long()
    result = at.call("index_select.default", x, axis, flat)
    if index.dim() == 1:
        return result
    shape, axis = at.shape(x), axis % len(at.shape(x))
    return at.call("reshape.default", result, [*shape[:axis], *index.shape, *shape[axis + 1 :]])


@operator("GatherElements")
def gather_elements(at: Node) -> Any:
    """One element for each index."""
    return at.call("gather.default", at.need(0), int(at.attributes.get("axis", 0)), at.need(1))


@operator("Expand")
def expand(at: Node) -> Any:
    """Broadcast to a shape, both ways."""
    x, sizes = at.need(0), at.integers(1, "a shape")
    try:
        shape = torch.broadcast_shapes(at.shape(x), tuple(sizes))
    except RuntimeError:
        raise Damaged("Expand: the shapes don't fit") from None
    return at.call("expand.default", x, list(shape))


@operator("Tile")
def tile(at: Node) -> Any:
    """Repeated along each axis."""
    return at.call("repeat.default", at.need(0), at.integers(1, "repeats"))


@operator("Constant")
def constant(at: Node) -> Any:
    """The tensor, the number or the numbers of an attribute."""
    names = [name for name in at.attributes if name.startswith("value")]
    if len(names) != 1 or names[0] not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        raise Unreadable(" and ".join(names) or "no value")
    value = at.attributes[names[0]]
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value, dtype=torch.float32 if "float" in names[0] else torch.int64)


@operator("ConstantOfShape")
def constant_of_shape(at: Node) -> Any:
    """A tensor of one number."""
    sizes = at.integers(0, "a shape")
    value = at.attributes.get("value", torch.zeros(1))
    if min(sizes, default=0) < 0 or math.prod(size or 1 for size in sizes) > MOST_ELEMENTS:
        raise Damaged(f"ConstantOfShape: a tensor must have 0..{MOST_ELEMENTS} elements")
    return at.call("full.default", sizes, value.reshape(()).item(), dtype=value.dtype)


@operator("Shape")
def shape_of(at: Node) -> Any:
    """The shape, as numbers."""
    shape = at.shape(at.need(0))
    return torch.tensor(shape[at.attributes.get("start", 0) : at.attributes.get("end")], dtype=torch.int64)


@operator("Size")
def size_of(at: Node) -> Any:
    """The number of elements."""
    return torch.tensor(math.prod(at.shape(at.need(0))))


@operator("Range")
def range_of(at: Node) -> Any:
    """From, up to, step."""
    start, limit, delta = (at.known(index, "a range") for index in range(3))
    numbers = [part.reshape(()).item() for part in (start, limit, delta)]
    return at.call("arange.start_step", *numbers, dtype=start.dtype)


@operator("Cast")
def cast(at: Node) -> Any:
    """Another type."""
    return at.call("to.dtype", at.need(0), dtype(int(at.attributes["to"])))


@operator("CastLike")
def cast_like(at: Node) -> Any:
    """The type of another value."""
    return at.call("to.dtype", at.need(0), at.known(1, "a type").dtype)


@operator("Trilu")
def trilu(at: Node) -> Any:
    """A triangle."""
    diagonal = 0 if at.get(1) is None else at.integers(1, "a diagonal")[0]
    name = "triu.default" if at.attributes.get("upper", 1) else "tril.default"
    return at.call(name, at.need(0), diagonal)


@operator("Pad")
def pad(at: Node) -> Any:
    """Constants around; padding by nothing changes nothing."""
    amounts = at.integers(1, "padding")
    if not any(amounts):
        return at.need(0)
    if at.attributes.get("mode", "constant") != "constant" or at.get(3) is not None:
        raise Unreadable("this padding")
    half = len(amounts) // 2
    order = [amount for axis in reversed(range(half)) for amount in (amounts[axis], amounts[half + axis])]
    value = 0.0 if at.get(2) is None else float(at.known(2, "a value"))
    return at.call("constant_pad_nd.default", at.need(0), order, value)


@operator("Resize")
def resize(at: Node) -> Any:
    """Rows and columns of [N, C, H, W] resampled, as exporters write `interpolate`.

    Of constants only, position embeddings above all: no rule knows it of an image.
    """
    x, mode = at.need(0), at.attributes.get("mode", "nearest")
    given = {name: at.attributes.get(name, 0) for name in ("antialias", "exclude_outside", "axes")}
    place = at.attributes.get("coordinate_transformation_mode", "half_pixel")
    corners, before = place == "align_corners", at.shape(x)
    usual = mode == "linear" or (
        mode == "cubic" and math.isclose(at.attributes.get("cubic_coeff_a", 0), -0.75)
    )
    if not usual or place not in ("half_pixel", "pytorch_half_pixel", "align_corners") or any(given.values()):
        raise Unreadable("this resampling")
    if at.get(3) is not None:
        sizes = at.integers(3, "a size")
    else:
        scales = at.known(2, "a scale").reshape(-1).tolist()
        sizes = [math.floor(size * scale) for size, scale in zip(before, scales, strict=False)]
    if len(before) != 4 or len(sizes) != 4 or tuple(sizes[:2]) != before[:2]:
        raise Unreadable("resampling of other axes than rows and columns")
    kind = "bilinear" if mode == "linear" else "bicubic"
    return at.call(f"upsample_{kind}2d.default", x, sizes[2:], corners)
