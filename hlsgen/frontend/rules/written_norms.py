# SPDX-License-Identifier: Apache-2.0
"""Layer norms and RMS norms that are written out, in the usual spellings, as one call each.

x * rsqrt(mean(x**2) + eps) is an RMS norm, and a layer norm where x is d = y - mean(y); mean(d**2) may be
written as a variance. Factors and constants per channel behind it are calls of their own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.read.export import GETITEM, Call, Export, Ref, uses
from hlsgen.frontend.rules.norms import normalised
from hlsgen.frontend.rules.rule import CallSite, computed, rewrite, rule
from hlsgen.frontend.rules.terms import Value
from hlsgen.frontend.rules.views import CASTS, SAME
from hlsgen.ops import LayerNorm, RMSNorm

OPERATOR = "hlsgen.written_norm.default"
_ADD = ("aten.add.Tensor", "aten.add.Scalar")
_MUL = ("aten.mul.Tensor", "aten.mul.Scalar")
_DIV = ("aten.div.Tensor", "aten.div.Scalar")
_SUB = "aten.sub.Tensor"
_POWER = "aten.pow.Tensor_Scalar"
_VAR, _STD, _BOTH = (
    tuple(f"aten.{name}.{overload}" for overload in ("dim", "correction"))
    for name in ("var", "std", "var_mean")
)


@rule(OPERATOR)
def written(at: CallSite, x: Any, axis: int, centred: bool, eps: float, factor: float) -> Value:
    """x / sqrt(mean(x**2) + eps) * factor along an axis, of x less its mean where `centred`."""
    rows = computed(x, "the norm's input").map(lambda ids: ids.movedim(axis, -1))
    kind, role = (LayerNorm, "layer_norm") if centred else (RMSNorm, "rms_norm")
    ones, zeros = (np.full(rows.shape[-1], number, np.float32) for number in (1, 0))
    found = normalised(at, kind(gamma=ones, beta=zeros, eps=eps), rows, at.name(role))
    return found.scaled(factor).map(lambda ids: ids.movedim(-1, axis))


@rewrite
def with_norms(export: Export) -> Export:
    """The export with every norm that is written out as one call, under the name of its last one."""
    norms = _Norms(export)
    calls = [part for call in export.calls for part in norms.norm(call) or (call,)]
    return dataclasses.replace(export, calls=tuple(calls))


class _Other(Exception):
    """It is something else."""


@dataclasses.dataclass(frozen=True)
class _Square:
    """share * mean(x**2) along an axis, of x less its mean where `centred`."""

    x: Ref
    axis: int
    centred: bool
    share: float = 1.0


class _Norms:
    """Follows a norm from its last call back to the tokens."""

    def __init__(self, export: Export) -> None:
        self._calls = {call.name: call for call in export.calls}
        self._constants = export.constants
        self._fixed: dict[str, bool] = dict.fromkeys(export.constants, True)

    def norm(self, last: Call) -> tuple[Call, ...] | None:
        """The norm that ends with this call, as one call, and a factor that was written before its end."""
        if last.target not in (*_MUL, *_DIV) or len(last.args) != 2 or last.kwargs:
            return None
        first, second = last.args
        under = self._root if last.target in _DIV else self._inverse_root
        ways = [(first, second)] if last.target in _DIV else [(first, second), (second, first)]
        for x, root in ways:
            try:
                return self._made(last, x, under(root))
            except (_Other, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
                continue
        return None

    def _made(self, last: Call, x: Any, under: Any) -> tuple[Call, ...]:
        """The calls that stand for x / sqrt(under)."""
        found, epsilon = self._square_and_eps(under)
        product = self._calls.get(x.name) if isinstance(x, Ref) else None
        factor = None
        if product is not None and product.target in _MUL and not self._is(x, found):
            for item, other in (product.args, product.args[::-1]):
                if self._is_fixed(item) and self._is(other, found):
                    factor, x = item, other
        if not self._is(x, found) or self._is_fixed(found.x):
            raise _Other
        args = (found.x, found.axis, found.centred, epsilon / found.share, found.share**-0.5)
        norm = dataclasses.replace(last, target=OPERATOR, args=args, kwargs={})
        if factor is None:
            return (norm,)
        norm = dataclasses.replace(norm, name=f"{last.name}.norm")
        return norm, dataclasses.replace(last, target=_MUL[0], args=(Ref(norm.name), factor), kwargs={})

    def _is(self, argument: Any, found: _Square) -> bool:
        """Whether an argument is what the norm divides: x, or x less its mean."""
        try:
            return self._deviation(argument, found.axis) == (found.x, found.centred)
        except (_Other, IndexError, KeyError, TypeError, ValueError):
            return False

    def _is_fixed(self, argument: Any) -> bool:
        """Whether an argument does not depend on the image."""
        if not isinstance(argument, Ref):
            return True
        if argument.name not in self._fixed:
            call = self._calls.get(argument.name)
            self._fixed[argument.name] = call is not None and all(
                self._is_fixed(Ref(name)) for name in uses(call)
            )
        return self._fixed[argument.name]

    def _plain(self, argument: Any) -> Any:
        """The value behind casts to float32 and copies."""
        while isinstance(argument, Ref) and argument.name in self._calls:
            call = self._calls[argument.name]
            if call.target not in (*SAME, *CASTS) or not self._is_float32(call):
                break
            argument = call.args[0]
        return argument

    def _is_float32(self, call: Call) -> bool:
        """Whether no argument of a cast asks for another type."""
        wanted = [item for item in (*call.args[1:], *call.kwargs.values()) if isinstance(item, torch.dtype)]
        return all(dtype is torch.float32 for dtype in wanted)

    def _call(self, argument: Any, *targets: str) -> Call:
        argument = self._plain(argument)
        call = self._calls.get(argument.name) if isinstance(argument, Ref) else None
        if call is None or call.target not in targets:
            raise _Other
        return call

    def _number(self, argument: Any) -> float:
        """A number, or a constant tensor of one."""
        argument = self._plain(argument)
        if isinstance(argument, Ref):
            tensor = self._constants[argument.name].tensor
            if tensor.numel() != 1:
                raise _Other
            return float(tensor.item())
        if isinstance(argument, bool) or not isinstance(argument, int | float):
            raise _Other
        return float(argument)

    def _inverse_root(self, argument: Any) -> Any:
        """v of rsqrt(v), v**-0.5, 1 / sqrt(v)."""
        call = self._call(argument, "aten.rsqrt.default", _POWER, "aten.reciprocal.default", *_DIV, *_MUL)
        if call.target == "aten.rsqrt.default":
            return call.args[0]
        if call.target == _POWER:
            return _same(self._number(call.args[1]), -0.5, call.args[0])
        if call.target == "aten.reciprocal.default":
            return self._root(call.args[0])
        if call.target in _DIV:
            return _same(self._number(call.args[0]), 1.0, self._root(call.args[1]))
        inner, one = call.args
        return _same(self._number(one), 1.0, self._inverse_root(inner))

    def _root(self, argument: Any) -> Any:
        """v of sqrt(v), v**0.5."""
        call = self._call(argument, "aten.sqrt.default", _POWER)
        if call.target == _POWER:
            _same(self._number(call.args[1]), 0.5, None)
        return call.args[0]

    def _square_and_eps(self, argument: Any) -> tuple[_Square, float]:
        """A mean square and eps of their sum."""
        call = self._call(argument, *_ADD)
        _same(call.kwargs, {}, None)
        for mean, epsilon in (call.args, call.args[::-1]):
            try:
                number = self._number(epsilon)
            except (_Other, KeyError):
                continue
            return self._mean_square(mean), number
        raise _Other

    def _mean_square(self, argument: Any) -> _Square:
        """A mean square, by itself or as a variance."""
        call = self._call(argument, "aten.mean.dim", *_DIV, *_VAR, GETITEM, _POWER, _SUB)
        if call.target in _VAR or call.target == GETITEM:
            both = call if call.target in _VAR else self._call(call.args[0], *_BOTH)
            return self._variance(both) if both is call else _same(call.args[1], 0, self._variance(both))
        if call.target == _POWER:
            return _same(self._number(call.args[1]), 2.0, self._variance(self._call(call.args[0], *_STD)))
        if call.target == _SUB:
            _same((len(call.args), call.kwargs), (2, {}), None)
            inner, axis = self._mean(call.args[0])
            x, middle = self._squared(inner), self._squared(call.args[1])
            return _same(self._mean(middle), (x, axis), _Square(x, axis, True))
        inner, axis = self._mean(argument)
        x, centred = self._deviation(self._squared(inner), axis)
        return _Square(x, axis, centred)

    def _variance(self, call: Call) -> _Square:
        """The variance along one axis, which stays."""
        x = self._ref(call.args[0])
        names = ("dim", "unbiased", "keepdim") if call.target.endswith(".dim") else ("dim",)
        given = dict(zip(names, call.args[1:], strict=False)) | dict(call.kwargs)
        rank = len(self._shape(x))
        (axis,) = given["dim"] if isinstance(given["dim"], list | tuple) else (given["dim"],)
        axis = _same(given.get("keepdim"), True, axis % rank)
        correction = given.get("correction", int(given.get("unbiased", True)))
        count = self._shape(x)[axis]
        return _Square(x, axis, True, count / (count - (1 if correction is None else correction)))

    def _deviation(self, argument: Any, axis: int) -> tuple[Ref, bool]:
        """x and True for x less its mean along an axis; the argument and False for anything else."""
        argument = self._ref(argument)
        try:
            call = self._call(argument, _SUB)
            _same((len(call.args), call.kwargs), (2, {}), None)
            x = self._ref(call.args[0])
            return _same(self._mean(call.args[1]), (x, axis), (x, True))
        except (_Other, IndexError, KeyError, TypeError, ValueError):
            return argument, False

    def _mean(self, argument: Any) -> tuple[Ref, int]:
        """What is averaged along an axis, which stays, and the axis: by mean, or by a sum and a division."""
        call = self._call(argument, "aten.mean.dim", *_DIV, GETITEM)
        if call.target == GETITEM:
            found = self._variance(self._call(call.args[0], *_BOTH))
            return _same(call.args[1], 1, (found.x, found.axis))
        if call.target in _DIV:
            inner, axis = self._along(self._call(call.args[0], "aten.sum.dim_IntList"))
            return _same(self._number(call.args[1]), float(self._shape(inner)[axis]), (inner, axis))
        return self._along(call)

    def _along(self, call: Call) -> tuple[Ref, int]:
        inner, axes, keep = call.args
        (axis,) = axes if isinstance(axes, list | tuple) else (axes,)
        inner = self._ref(inner)
        return _same((bool(keep), call.kwargs), (True, {}), (inner, axis % len(self._shape(inner))))

    def _ref(self, argument: Any) -> Ref:
        argument = self._plain(argument)
        if not isinstance(argument, Ref):
            raise _Other
        return argument

    def _shape(self, argument: Ref) -> tuple[int, ...]:
        """The static shape of a call's result."""
        shape = self._calls[argument.name].shape
        if not shape:
            raise _Other
        return shape

    def _squared(self, argument: Any) -> Ref:
        """x of x**2, x * x."""
        call = self._call(argument, _POWER, "aten.square.default", *_MUL)
        if call.target in _MUL:
            first, second = (self._ref(item) for item in call.args)
            return _same(first, second, first)
        if call.target == _POWER:
            _same(self._number(call.args[1]), 2.0, None)
        return self._ref(call.args[0])


def _same(found: Any, wanted: Any, result: Any) -> Any:
    """`result`, where both are equal."""
    if found != wanted:
        raise _Other
    return result
