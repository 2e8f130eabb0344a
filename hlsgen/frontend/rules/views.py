# SPDX-License-Identifier: Apache-2.0
"""Operators that move, drop or repeat elements, and those that only ever see constants.

Both are executed by torch itself: views on element ids, the rest on the constants.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch

from hlsgen.frontend.read.bounds import MOST_ELEMENTS
from hlsgen.frontend.rules.rule import CallSite, rule
from hlsgen.frontend.rules.terms import Refusal, Term, Value

_VIEW = """
view.default view_copy.default reshape.default flatten.using_ints unflatten.int transpose.int
permute.default t.default numpy_T.default mT.default swapaxes.default swapdims.default movedim.int
movedim.intlist squeeze.default squeeze.dim squeeze.dims unsqueeze.default expand.default select.int
slice.Tensor narrow.default unbind.int split.Tensor split.sizes split_with_sizes.default chunk.default
tensor_split.sections flip.default roll.default repeat.default index_select.default
repeat_interleave.self_int
"""
_SAME = """
contiguous.default clone.default alias.default detach.default lift_fresh_copy.default positive.default
"""
_CONSTANT = """
arange.default arange.start arange.start_step zeros.default ones.default full.default scalar_tensor.default
zeros_like.default ones_like.default full_like.default new_zeros.default new_ones.default new_full.default
linspace.default empty.memory_format tril.default triu.default outer.default meshgrid.indexing
meshgrid.default add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Scalar mul.Tensor mul.Scalar div.Tensor
div.Scalar neg.default div.Tensor_mode floor_divide.default remainder.Scalar pow.Tensor_Scalar pow.Scalar
sqrt.default rsqrt.default exp.default log.default sin.default cos.default abs.default reciprocal.default
sigmoid.default tanh.default ge.Tensor ge.Scalar gt.Tensor gt.Scalar le.Tensor le.Scalar lt.Tensor lt.Scalar
eq.Tensor eq.Scalar ne.Tensor ne.Scalar logical_not.default logical_and.default logical_or.default
bitwise_not.default bitwise_and.Tensor bitwise_or.Tensor __and__.Tensor __or__.Tensor where.self
where.ScalarOther where.ScalarSelf
masked_fill.Scalar masked_fill.Tensor cat.default stack.default embedding.default index.Tensor
gather.default tile.default cumsum.default sum.default sum.dim_IntList mean.dim matmul.default mm.default
linear.default softmax.int to.dtype to.dtype_layout to.device _to_copy.default type_as.default
expand_as.default view_as.default upsample_bicubic2d.vec upsample_bicubic2d.default upsample_bilinear2d.vec
upsample_bilinear2d.default norm.ScalarOpt_dim layer_norm.default dropout.default
"""


_INPLACE = """
add_.Tensor add_.Scalar sub_.Tensor mul_.Tensor mul_.Scalar div_.Tensor copy_.default fill_.Tensor
fill_.Scalar zero_.default masked_fill_.Scalar
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(f"aten.{name}" for name in text.split())


VIEWS, SAME = _names(_VIEW), _names(_SAME)
"""Operators whose result shares elements with their first argument."""
FOLDABLE = frozenset((*VIEWS, *SAME, *_names(_CONSTANT), *_names(_INPLACE)))
"""Operators that may be executed on constants."""
CASTS = _names("to.dtype to.dtype_layout to.device _to_copy.default type_as.default")


def operator(target: str) -> Any:
    """The torch operator of a listed target."""
    _, name, overload = target.split(".")
    return getattr(getattr(torch.ops.aten, name), overload)


def fold(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a listed operator on constants, on the CPU."""
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    try:
        _check_size(target, args, kwargs)
        return operator(target)(*args, **kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise Refusal(f"{target} on constants fails", why=reason) from error


def _check_size(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse an operator whose result is larger than any tensor of a model, before anything is allocated."""
    meta = torch.device("meta")
    given, named = _on(meta, args), {key: _on(meta, value) for key, value in kwargs.items()}
    if "device" in kwargs or not _tensors((*args, *kwargs.values())):
        named["device"] = meta
    try:
        result = operator(target)(*given, **named)
    except (NotImplementedError, RuntimeError, TypeError, IndexError, ValueError):
        return  # the call itself will tell, or its size depends on its input's values
    largest = max([tensor.numel() for tensor in _tensors((result,))], default=0)
    if largest > MOST_ELEMENTS:
        what = f"{target} must make tensors of at most {MOST_ELEMENTS} elements, not {largest}"
        raise Refusal(what, intrinsic=True)


def _on(device: torch.device, value: Any) -> Any:
    """An argument with its tensors moved."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(_on(device, item) for item in value)
    return value


def _tensors(values: tuple[Any, ...]) -> list[torch.Tensor]:
    """All tensors among arguments or results."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(tuple(value))
    return found


@rule(*VIEWS)
def view(at: CallSite, x: Value, *args: Any, **kwargs: Any) -> Any:
    """Run the operator on ids and offset."""

    def move(tensor: torch.Tensor) -> Any:
        # Ids are not laid out in memory as the model's tensor was: there, `view` was possible.
        tensor = tensor.contiguous() if ".view." in at.call.target else tensor
        return fold(at.call.target, (tensor, *args), kwargs)

    ids = move(x.ids)
    if isinstance(ids, torch.Tensor):
        return x.map(move)
    return tuple(x.map(lambda tensor, i=i: move(tensor)[i]) for i in range(len(ids)))


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
    """Join parts of one term and constants; constants get the id -1."""
    values = [item for item in tensors if isinstance(item, Value)]
    terms = tuple(dict.fromkeys(item.term for item in values))
    whole = terms[0] if len(terms) == 1 else at.terms.join(terms)
    starts = dict(zip(terms, itertools.accumulate((term.size for term in terms), initial=0), strict=False))
    ids = [_placed(x, starts) if isinstance(x, Value) else torch.full(x.shape, -1) for x in tensors]
    joined, offset, scale = (
        fold(at.call.target, (parts, dim), {})
        for parts in (ids, [_offset(x) for x in tensors], [_scale(x) for x in tensors])
    )
    first = values[0].scale
    if not any(isinstance(x.scale, torch.Tensor) or x.scale != first for x in values):
        scale = first
    return Value(whole, joined, scale, offset if bool(offset.any()) else None)


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


@rule("aten.where.self")
def where(_: CallSite, condition: Any, x: Any, y: Any) -> Value:
    """One of both where the condition is constant and the same everywhere."""
    if isinstance(condition, torch.Tensor):
        chosen = x if bool(condition.all()) else y if not bool(condition.any()) else None
        if (
            isinstance(chosen, Value)
            and torch.broadcast_shapes(condition.shape, chosen.shape) == chosen.shape
        ):
            return chosen
    raise Refusal("a mask that hides something is not supported", why="every token attends to every token")


def _offset(x: Any) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        return x.double()
    return torch.zeros(x.shape, dtype=torch.float64) if x.offset is None else x.offset
