# SPDX-License-Identifier: Apache-2.0
"""Rules for layers, activations, sums and means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.rule import CallSite, array, computed, constant, rule
from hlsgen.frontend.rules.terms import Mixture, Refusal, Term, Value
from hlsgen.frontend.rules.tokens import match_patches, matrix, patch_linear
from hlsgen.ops import Activation, Add, Combine, LayerNorm, Linear, Mean, Scores, Softmax
from hlsgen.ops.kinds import FloatOp, Part

_PATCHES_ONLY = "a patch embedding reads each pixel once; no other convolution has a place on the machine"


def _pair(value: Any) -> tuple[int, int]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    return (numbers * 2 if len(numbers) == 1 else numbers)[:2]


def _double(number: Any) -> torch.Tensor:
    return torch.as_tensor(number, dtype=torch.float64)


@rule("aten.conv2d.default", "aten.conv2d.padding")
def conv2d(
    at: CallSite,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """A convolution whose stride is its kernel, on the image."""
    weight = constant(weight, "the convolution's weight")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    padding = 0 if padding == "valid" else padding
    wanted = (
        ("stride", kernel, _pair(stride)),
        ("padding", (0, 0), _pair(padding) if not isinstance(padding, str) else padding),
        ("dilation", (1, 1), _pair(dilation)),
        ("groups", 1, groups),
    )
    wrong = [f"{what} must be {right}, not {found!r}" for what, right, found in wanted if found != right]
    if wrong:
        raise Refusal(f"convolution {'; '.join(wrong)}", why=_PATCHES_ONLY, intrinsic=True)
    x = computed(x, "the convolution's input")
    _, height, width = at.image.shape
    plain = x.term is at.image and x.scale == 1.0 and x.offset is None
    if not plain or not torch.equal(x.ids.flatten(), torch.arange(x.term.size)):
        raise Refusal("the convolution's input must be the image itself", why=_PATCHES_ONLY)
    if height % kernel[0] or width % kernel[1]:
        raise Refusal(f"image {height}x{width} must be divisible by the patch {kernel[0]}x{kernel[1]}")
    name = at.name("patch_embed", parameter=1)
    term = patch_linear(at.terms, at.image, kernel, array(weight.flatten(1)), name, at.call.source)
    rows, columns = height // kernel[0], width // kernel[1]
    ids = torch.arange(rows * columns * len(weight)).reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    value = Value(term, ids)
    return value if bias is None else value.plus(constant(bias, "the bias")[None, :, None, None])


@rule("aten.linear.default")
def linear(at: CallSite, x: Any, weight: Any, bias: Any = None) -> Value:
    """x @ weight.T + bias on tokens, or on patches of the image."""
    x, weight = computed(x, "the linear layer's input"), constant(weight, "the linear layer's weight")
    bias = None if bias is None else constant(bias, "the linear layer's bias")
    if x.term is at.image:
        return _linear_patches(at, x, weight, bias)
    vector = np.zeros(len(weight), np.float32) if bias is None else array(bias)
    op = Linear(weight=array(weight), bias=vector)
    name = at.name("linear", parameter=1)
    return at.emit(op, (at.settle(x),), name, (*x.shape[:-1], len(weight)))


def _linear_patches(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    ids = matrix(x).ids.numpy()
    found = match_patches(at.image, ids) if x.scale == 1.0 and x.offset is None else None
    if found is None:
        raise Refusal(
            "a linear layer on the image must read patches in raster order",
            why="only non-overlapping patches of the whole, unchanged image enter the machine",
        )
    patch, order = found
    name = at.name("patch_embed", parameter=1)
    ordered = weight[:, torch.from_numpy(np.argsort(order))]
    term = patch_linear(at.terms, at.image, patch, array(ordered), name, at.call.source)
    value = at.terms.value(term, (*x.shape[:-1], len(weight)))
    return value if bias is None else value.plus(bias)


@rule("aten.addmm.default")
def addmm(at: CallSite, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """Bias + x @ weight."""
    if beta != 1 or alpha != 1:
        raise Refusal(f"addmm alpha and beta must be 1, not {alpha!r} and {beta!r}")
    return linear(at, x, constant(weight, "the weight").T, bias)


@rule("aten.layer_norm.default")
def layer_norm(
    at: CallSite,
    x: Any,
    shape: list[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    _: bool = True,
) -> Value:
    """Layer norm over the last axis."""
    x = computed(x, "the layer norm's input")
    if len(shape) != 1:
        raise Refusal(f"layer norm must be over the channels, not over {len(shape)} axes")
    gamma = torch.ones(shape[0]) if weight is None else constant(weight, "the layer norm's weight")
    beta = torch.zeros(shape[0]) if bias is None else constant(bias, "the layer norm's bias")
    op = LayerNorm(gamma=array(gamma), beta=array(beta), eps=float(eps))
    return at.emit(op, (at.settle(x),), at.name("layer_norm", parameter=2), x.shape)


def _activation(at: CallSite, x: Any, function: str) -> Value:
    x = computed(x, "the activation's input")
    return at.emit(Activation(function=function), (at.settle(x),), at.name(function), x.shape)


@rule("aten.gelu.default", "aten.gelu_.default")
def gelu(at: CallSite, x: Any, *, approximate: str = "none") -> Value:
    """Exact or tanh GELU."""
    return _activation(at, x, "gelu_tanh" if approximate == "tanh" else "gelu")


@rule("aten.relu.default", "aten.relu_.default")
def relu(at: CallSite, x: Any) -> Value:
    """ReLU."""
    return _activation(at, x, "relu")


@rule("aten.dropout.default", "aten.feature_dropout.default", "aten.dropout_.default")
def dropout(_: CallSite, x: Any, p: float, train: bool) -> Any:
    """Nothing in eval mode."""
    if train and p:
        raise Refusal(
            "dropout must be in eval mode, not in training mode",
            why="training is random",
            fix="call model.eval() first",
            intrinsic=True,
        )
    return x


@rule("aten.add.Tensor", "aten.add_.Tensor", "aten.add.Scalar", "aten.add_.Scalar")
def add(at: CallSite, x: Any, y: Any, *, alpha: float = 1) -> Value:
    """Residual addition, or a constant."""
    if isinstance(x, Value) and isinstance(y, Value):
        if alpha != 1:
            raise Refusal(f"add alpha must be 1, not {alpha!r}")
        if x.shape != y.shape:
            raise Refusal(f"added activations must have one shape, not {x.shape} and {y.shape}")
        first, second = sorted((at.settle(x), at.settle(y)), key=_branch_last)
        if isinstance(second.op, Mixture):
            return at.emit(Combine(), (first, *second.inputs), at.name("combine"), x.shape)
        return at.emit(Add(), (first, second), at.name("add"), x.shape)
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    number = _double(other)
    if value is y:
        return value.scaled(float(alpha)).plus(number)
    return value.plus(number * alpha)


def _part(term: Term) -> Part | None:
    return term.op.part if isinstance(term.op, FloatOp) else None


def _branch_last(term: Term) -> tuple[bool, bool, int]:
    """Sorts the residual stream before the branch that is added to it."""
    return (
        _part(term) is not Part.STREAM,
        _part(term) in (Part.LINEAR, Part.MIXTURE),
        term.serial,
    )


@rule("aten.sub.Tensor", "aten.sub.Scalar", "aten.sub_.Tensor")
def sub(at: CallSite, x: Any, y: Any, *, alpha: float = 1) -> Value:
    """A constant difference."""
    if isinstance(x, Value) and isinstance(y, Value):
        what = "the difference of two activations is not supported"
        raise Refusal(what, why="the machine only adds branches to the residual stream")
    if isinstance(y, Value):
        return add(at, y.scaled(-float(alpha)), x)
    return add(at, x, y, alpha=-alpha)


@rule("aten.neg.default")
def neg(_: CallSite, x: Value) -> Value:
    """A change of sign."""
    return x.scaled(-1.0)


@rule("aten.mul.Tensor", "aten.mul.Scalar", "aten.mul_.Tensor", "aten.mul_.Scalar")
def mul(at: CallSite, x: Any, y: Any) -> Value:
    """A constant factor, one for all or one per channel."""
    if isinstance(x, Value) and isinstance(y, Value):
        raise Refusal(
            "the product of two activations, element by element, is not supported",
            why="the machine multiplies activations by weights and, in attention, queries by keys",
        )
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    factor = _double(other)
    if factor.numel() == 1:
        return value.scaled(float(factor)).map(lambda ids: ids.expand(_broadcast(value, factor)))
    return _multiply_columns(at, value, factor)


def _broadcast(value: Value, factor: torch.Tensor) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(value.shape, tuple(factor.shape)))


def _multiply_columns(at: CallSite, value: Value, factor: torch.Tensor) -> Value:
    if _broadcast(value, factor) != value.shape:
        raise Refusal(
            "multiplication by a constant tensor has no place here",
            why="the factor must not make the tensor larger",
        )
    width = value.term.shape[-1]
    used = value.ids >= 0
    columns, wanted = (value.ids % width)[used], factor.expand(value.shape)[used]
    factors = torch.ones(width, dtype=torch.float64)
    factors[columns] = wanted
    if not torch.equal(factors[columns], wanted):
        raise Refusal(
            "a constant factor must be the same for every token",
            why="it becomes part of the weights of the layer before",
        )
    term = at.terms.multiplied(value.term, factors.numpy())
    offset = None if value.offset is None else value.offset * factor
    return Value(term, value.ids, value.scale, offset)


@rule("aten.div.Tensor", "aten.div.Scalar", "aten.div_.Tensor")
def div(at: CallSite, x: Any, y: Any) -> Value:
    """A constant divisor."""
    if isinstance(y, Value):
        raise Refusal("division by an activation is not supported", why="only softmax and layer norm divide")
    return mul(at, x, 1.0 / _double(y))


@rule("aten.mean.dim")
def mean(at: CallSite, x: Value, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The mean over tokens."""
    if dtype not in (None, torch.float32):
        raise Refusal(f"mean must stay float32, not {dtype}")
    axes = sorted({axis % len(x.shape) for axis in (dim if isinstance(dim, list | tuple) else (dim,))})
    if isinstance(x.term.op, Scores | Softmax):
        raise Refusal("attention weights are averaged", why="they never leave the machine")
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    tokens = x.map(lambda ids: ids.permute(*axes, *rest).reshape(count, -1))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    if not keepdim:
        shape = tuple(x.shape[axis] for axis in rest)
    return at.emit(Mean(), (at.settle(tokens),), at.name("mean"), shape)


@rule("aten.sum.dim_IntList")
def total(at: CallSite, x: Value, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The sum over tokens: a mean, times their number."""
    result = mean(at, x, dim, keepdim, dtype=dtype)
    return result.scaled(x.ids.numel() / result.ids.numel())


@rule("aten.adaptive_avg_pool1d.default")
def average_pool(at: CallSite, x: Value, size: list[int]) -> Value:
    """The mean over the last axis."""
    if list(size) != [1]:
        raise Refusal(f"adaptive pooling must be to size 1, not {size!r}")
    return mean(at, x, [-1], keepdim=True)


@rule("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(_: CallSite, x: Any, mask: Any, __: Any) -> Value:
    """Nothing where the mask is constant and false."""
    if bool(constant(mask, "the mask").any()):
        what = "a mask that hides something is not supported"
        raise Refusal(what, why="every token attends to every token")
    return computed(x, "the masked tensor")
