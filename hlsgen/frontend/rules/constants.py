# SPDX-License-Identifier: Apache-2.0
"""Operators on constants are run once, by torch itself, on the CPU.

Any operator of ATen may: none of them reads a file or the network but `from_file`. Random ones are refused,
and results larger than any tensor of a model, before anything is allocated.
"""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from hlsgen.frontend.read.bounds import MOST_ELEMENTS
from hlsgen.frontend.rules.terms import Refusal

_INTERNAL = """
_to_copy _softmax _log_softmax _local_scalar_dense _unsafe_view _reshape_alias _upsample_bicubic2d_aa
_upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _weight_norm _shape_as_tensor
_unique2 _stack _cdist_forward _unsafe_index _fft_c2c _fft_r2c _fft_c2r __and__ __or__ __xor__ __lshift__
__rshift__
"""
"""Operators with a name of torch's own kind that models come to use."""
_BOUNDED = """
item _local_scalar_dense nonzero nonzero_numpy masked_select _unique2 unique_dim unique_consecutive index
equal is_nonzero allclose argwhere where
"""
"""Operators whose result has no more elements than its arguments, whatever they hold."""
_NEVER = ("from_file", "set_", "resize_", "resize_as_", "_resize_output_", "as_strided_", "record_stream")
_DETACH = "aten.detach_.default"
"""In place by its name, and changes nothing."""
_DROPOUT = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
_ATTENTION = "scaled_dot_product_attention"
_NUMBERS = """
add sub mul truediv floordiv mod pow neg pos abs eq ne lt le gt ge and_ or_ not_ xor
"""
_PYTHON: dict[str, Callable[..., Any]] = {
    **{name: getattr(python, name) for name in _NUMBERS.split()},
    **{name: getattr(math, name) for name in ("sqrt", "ceil", "floor", "trunc")},
    "sym_float": float,
    "sym_int": int,
    "sym_max": max,
    "sym_min": min,
    "sym_not": python.not_,
}
_CHECKS = (
    "aten._assert_tensor_metadata",
    "aten._assert_async",
    "aten._assert_scalar",
    "aten.sym_constrain_range",
    "aten.sym_constrain_range_for_size",
)


def is_check(target: str) -> bool:
    """Whether an operator only checks what torch saw when it exported."""
    return target.rpartition(".")[0] in _CHECKS


def is_inplace(target: str) -> bool:
    """Whether an operator's name says so: `aten.add_.Tensor`."""
    parts = target.split(".")
    if target == _DETACH:
        return False
    return len(parts) == 3 and parts[1].endswith("_") and not parts[1].startswith("_")


@cache
def functional(target: str) -> str:
    """The operator that makes a new tensor of what an in-place one writes; any other one itself.

    It takes arguments of the same types, under whatever name: `aten.pow.Tensor_Scalar` of `aten.pow_.Scalar`.
    """
    written = operator(target) if is_inplace(target) else None
    if written is None:
        return target
    name, overload = target.removeprefix("aten.").split(".")
    made = getattr(torch.ops.aten, name.removesuffix("_"), None)
    overloads = made.overloads() if made is not None else []
    for found in sorted(overloads, key=lambda found: found != overload):
        if _types(getattr(made, found)) == _types(written):
            return f"aten.{name.removesuffix('_')}.{found}"
    return target


def _types(op: Any) -> list[str]:
    """The types of an operator's arguments."""
    return [str(argument.type) for argument in op._schema.arguments]


def operator(target: str) -> Any:
    """The ATen operator of a name, or None."""
    parts = target.split(".")
    if len(parts) != 3 or parts[0] != "aten":
        return None
    packet = getattr(torch.ops.aten, parts[1], None)
    return getattr(packet, parts[2], None) if packet is not None else None


def foldable(target: str) -> bool:
    """Whether an operator may be run on constants."""
    if _python(target) is not None:
        return True
    op = operator(target)
    if op is None or not isinstance(op, torch._ops.OpOverload):
        return False
    name = target.split(".")[1]
    if name in _NEVER or (name.startswith("_") and name not in _INTERNAL.split()):
        return False
    if op._schema.is_mutable and not is_inplace(target) and target != _DETACH:
        return False
    return torch.Tag.nondeterministic_seeded not in op.tags or name.rstrip("_") in (*_DROPOUT, _ATTENTION)


def _python(target: str) -> Callable[..., Any] | None:
    """The function of numbers that a target names: `_operator.mul`, `<built-in function mul>`."""
    name = target.removeprefix("<built-in function ").removesuffix(">").rpartition(".")[2]
    return None if target.startswith("aten.") else _PYTHON.get(name)


def fold(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator on constants, on the CPU; raises `Refusal`."""
    plain = _python(target)
    if plain is not None:
        return _checked(target, lambda: plain(*args))
    name, op = target.split(".")[1], operator(target)
    if name.rstrip("_") in _DROPOUT and len(args) > 2 and args[1] and args[2]:
        raise Refusal("dropout must be in eval mode", why="training is random", intrinsic=True)
    if name == _ATTENTION and (kwargs.get("dropout_p") or any(args[4:5])):
        raise Refusal("attention dropout must be 0", why="dropout is random", intrinsic=True)
    if "norm" in name and any(item is True for item in args[5:6]):
        raise Refusal(f"{target} must be in eval mode", fix="call model.eval() first", intrinsic=True)
    here = torch.device("cpu")
    args = tuple(here if isinstance(item, torch.device) else item for item in args)
    if "device" in kwargs:
        kwargs = {**kwargs, "device": here}
    _check_size(target, args, kwargs)
    try:
        result = _checked(target, lambda: op(*args, **kwargs))
    except Refusal:
        # Constants that were folded are float64, and some operators want all of one type.
        if len({x.dtype for x in _tensors((*args, *kwargs.values())) if x.is_floating_point()}) < 2:
            raise
        args, kwargs = _double(args), {key: _double(value) for key, value in kwargs.items()}
        result = _checked(target, lambda: op(*args, **kwargs))
    # Memory that nobody has written yet must not differ from run to run.
    return result.zero_() if name in ("empty", "empty_like", "new_empty", "empty_strided") else result


def _double(value: Any) -> Any:
    """An argument with its real tensors in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    return type(value)(map(_double, value)) if isinstance(value, list | tuple) else value


def _checked(target: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (RuntimeError, TypeError, IndexError, ValueError, ArithmeticError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise Refusal(f"{target} on constants fails", why=reason) from error


def _check_size(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse an operator whose result is larger than any tensor of a model, before anything is allocated."""
    meta = torch.device("meta")
    given, named = _on(meta, args), {key: _on(meta, value) for key, value in kwargs.items()}
    if "device" in kwargs or not _tensors((*args, *kwargs.values())):
        named["device"] = meta
    name = target.split(".")[1]
    try:
        result = operator(target)(*given, **named)
    except (NotImplementedError, RuntimeError) as error:
        text = str(error)
        unknown = isinstance(error, NotImplementedError) or "meta" in text or "data-dependent" in text
        if not unknown or name in _BOUNDED.split() or _counted(name, args) <= MOST_ELEMENTS:
            return  # the call itself will tell what is wrong
        why = "hlsgen runs it only where its result's size is known before"
        raise Refusal(f"{target} on constants is not supported", why=why) from error
    except (TypeError, IndexError, ValueError):
        return
    largest = max([tensor.numel() for tensor in _tensors((result,))], default=0)
    if largest > MOST_ELEMENTS:
        what = f"{target} must make tensors of at most {MOST_ELEMENTS} elements, not {largest}"
        raise Refusal(what, intrinsic=True)


def _counted(name: str, args: tuple[Any, ...]) -> float:
    """Elements of a result that the values of the arguments give."""
    tensors = _tensors(args)
    if name == "bincount" and tensors:
        return float(tensors[0].max()) if tensors[0].numel() else 0.0
    if name == "repeat_interleave" and tensors:
        return float(tensors[-1].sum()) * max(1, tensors[0].numel())
    return math.inf


def _on(device: torch.device, value: Any) -> Any:
    """An argument with its tensors moved."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, torch.device):
        return device
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
