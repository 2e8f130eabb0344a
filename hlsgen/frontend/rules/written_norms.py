# SPDX-License-Identifier: Apache-2.0
"""Layer norms and RMS norms that are written out, in the usual spellings, as one call each.

x * rsqrt(mean(x**2) + eps) is an RMS norm, and a layer norm where x is d = y - mean(y); mean(d**2) may be
written as a variance. Factors and constants per channel behind it are calls of their own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hlsgen.frontend.read.export import GETITEM, Call, Export, Ref
from hlsgen.frontend.rules.norms import normalised
from hlsgen.frontend.rules.rule import CallSite, computed, rewrite, rule
from hlsgen.frontend.rules.terms import Value
from hlsgen.frontend.rules.written import ADD, DIV, MUL, SUB, Other, Written, same
from hlsgen.ops import LayerNorm, RMSNorm

OPERATOR = "hlsgen.written_norm.default"
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


@dataclasses.dataclass(frozen=True)
class _Square:
    """share * mean(x**2) along an axis, of x less its mean where `centred`."""

    x: Ref
    axis: int
    centred: bool
    share: float = 1.0


class _Norms(Written):
    """Follows a norm from its last call back to the tokens."""

    def norm(self, last: Call) -> tuple[Call, ...] | None:
        """The norm that ends with this call, as one call, and a factor that was written before its end."""
        if last.target not in (*MUL, *DIV) or len(last.args) != 2 or last.kwargs:
            return None
        first, second = last.args
        under = self._root if last.target in DIV else self._inverse_root
        ways = [(first, second)] if last.target in DIV else [(first, second), (second, first)]
        for x, root in ways:
            try:
                return self._made(last, x, under(root))
            except (Other, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
                continue
        return None

    def _made(self, last: Call, x: Any, under: Any) -> tuple[Call, ...]:
        """The calls that stand for x / sqrt(under)."""
        found, epsilon = self._square_and_eps(under)
        product = self._calls.get(x.name) if isinstance(x, Ref) else None
        factor = None
        if product is not None and product.target in MUL and not self._is(x, found):
            for item, other in (product.args, product.args[::-1]):
                if self._is_fixed(item) and self._is(other, found):
                    factor, x = item, other
        if not self._is(x, found) or self._is_fixed(found.x):
            raise Other
        args = (found.x, found.axis, found.centred, epsilon / found.share, found.share**-0.5)
        norm = dataclasses.replace(last, target=OPERATOR, args=args, kwargs={})
        if factor is None:
            return (norm,)
        norm = dataclasses.replace(norm, name=f"{last.name}.norm")
        return norm, dataclasses.replace(last, target=MUL[0], args=(Ref(norm.name), factor), kwargs={})

    def _is(self, argument: Any, found: _Square) -> bool:
        """Whether an argument is what the norm divides: x, or x less its mean."""
        try:
            return self._deviation(argument, found.axis) == (found.x, found.centred)
        except (Other, IndexError, KeyError, TypeError, ValueError):
            return False

    def _inverse_root(self, argument: Any) -> Any:
        """v of rsqrt(v), v**-0.5, 1 / sqrt(v)."""
        call = self._call(argument, "aten.rsqrt.default", _POWER, "aten.reciprocal.default", *DIV, *MUL)
        if call.target == "aten.rsqrt.default":
            return call.args[0]
        if call.target == _POWER:
            return same(self._number(call.args[1]), -0.5, call.args[0])
        if call.target == "aten.reciprocal.default":
            return self._root(call.args[0])
        if call.target in DIV:
            return same(self._number(call.args[0]), 1.0, self._root(call.args[1]))
        inner, one = call.args
        return same(self._number(one), 1.0, self._inverse_root(inner))

    def _root(self, argument: Any) -> Any:
        """v of sqrt(v), v**0.5."""
        call = self._call(argument, "aten.sqrt.default", _POWER)
        if call.target == _POWER:
            same(self._number(call.args[1]), 0.5, None)
        return call.args[0]

    def _square_and_eps(self, argument: Any) -> tuple[_Square, float]:
        """A mean square and eps of their sum."""
        call = self._call(argument, *ADD)
        same(call.kwargs, {}, None)
        for mean, epsilon in (call.args, call.args[::-1]):
            try:
                number = self._number(epsilon)
            except (Other, KeyError):
                continue
            return self._mean_square(mean), number
        raise Other

    def _mean_square(self, argument: Any) -> _Square:
        """A mean square, by itself or as a variance."""
        call = self._call(argument, "aten.mean.dim", *DIV, *_VAR, GETITEM, _POWER, SUB)
        if call.target in _VAR or call.target == GETITEM:
            both = call if call.target in _VAR else self._call(call.args[0], *_BOTH)
            return self._variance(both) if both is call else same(call.args[1], 0, self._variance(both))
        if call.target == _POWER:
            return same(self._number(call.args[1]), 2.0, self._variance(self._call(call.args[0], *_STD)))
        if call.target == SUB:
            same((len(call.args), call.kwargs), (2, {}), None)
            inner, axis = self._mean(call.args[0])
            x, middle = self._squared(inner), self._squared(call.args[1])
            return same(self._mean(middle), (x, axis), _Square(x, axis, True))
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
        axis = same(given.get("keepdim"), True, axis % rank)
        correction = given.get("correction", int(given.get("unbiased", True)))
        count = self._shape(x)[axis]
        return _Square(x, axis, True, count / (count - (1 if correction is None else correction)))

    def _deviation(self, argument: Any, axis: int) -> tuple[Ref, bool]:
        """x and True for x less its mean along an axis; the argument and False for anything else."""
        argument = self._ref(argument)
        try:
            call = self._call(argument, SUB)
            same((len(call.args), call.kwargs), (2, {}), None)
            x = self._ref(call.args[0])
            return same(self._mean(call.args[1]), (x, axis), (x, True))
        except (Other, IndexError, KeyError, TypeError, ValueError):
            return argument, False

    def _mean(self, argument: Any) -> tuple[Ref, int]:
        """What is averaged along an axis, which stays, and the axis: by mean, or by a sum and a division."""
        call = self._call(argument, "aten.mean.dim", *DIV, GETITEM)
        if call.target == GETITEM:
            found = self._variance(self._call(call.args[0], *_BOTH))
            return same(call.args[1], 1, (found.x, found.axis))
        if call.target in DIV:
            inner, axis = self._along(self._call(call.args[0], "aten.sum.dim_IntList"))
            return same(self._number(call.args[1]), float(self._shape(inner)[axis]), (inner, axis))
        return self._along(call)

    def _squared(self, argument: Any) -> Ref:
        """x of x**2, x * x."""
        call = self._call(argument, _POWER, "aten.square.default", *MUL)
        if call.target in MUL:
            first, second = (self._ref(item) for item in call.args)
            return same(first, second, first)
        if call.target == _POWER:
            same(self._number(call.args[1]), 2.0, None)
        return self._ref(call.args[0])
