# SPDX-License-Identifier: Apache-2.0
"""Softmax that is written out, in the usual spellings, as one call each.

e / sum(e) is a softmax of x where e is exp(x - c) and c is the same along the axis, whatever it is. So is
exp(x - logsumexp(x)). Constants w >= 0 that multiply e, as a mask of zeros and ones does, add log(w) to x. An
eps in the divisor changes nothing that counts where the sum is at least 1: behind a softmax, or with c the
largest x. Under a mask it is there for queries that see no key: their weights are zeros, as in the machine.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from hlsgen.frontend.read.export import GETITEM, Call, Export, Ref
from hlsgen.frontend.rules.attention import softmax
from hlsgen.frontend.rules.masks import with_mask
from hlsgen.frontend.rules.rule import CallSite, computed, constant, rewrite, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.written import ADD, DIV, MUL, SUB, Other, Written, same

OPERATOR = "hlsgen.written_softmax.default"
MOST_EPS, MASKED_EPS = 1e-6, 1e-8
"""Of an eps that is left out. Of exponentials that are not all there the sum may be less than 1."""
_SOFTMAX = ("aten.softmax.int", "aten._softmax.default")
_LOG_SOFTMAX = ("aten.log_softmax.int", "aten._log_softmax.default")
_CLAMP = ("aten.clamp.default", "aten.clamp_min.default")
_RECIPROCAL = "aten.reciprocal.default"
_FILL = "aten.masked_fill.Scalar"


@rule(OPERATOR)
def written(at: CallSite, x: Any, dim: int, weights: Any, hidden: Any) -> Value:
    """Softmax of x plus the logarithms of constant weights, without the places where `hidden` is true."""
    scores = computed(x, "the softmax's input")
    if weights is not None:
        numbers = constant(torch.as_tensor(weights), "the weights of exponentials").double()
        if not bool((numbers >= 0).all()):
            raise Refusal("exponentials are multiplied by numbers below zero", intrinsic=True)
        scores = scores.plus(numbers.log())
    if hidden is not None:
        scores = with_mask(scores, ~constant(hidden, "the mask"))
    return softmax(at, scores, dim)


@rewrite
def with_softmax(export: Export) -> Export:
    """The export with every softmax that is written out as one call, under the name of its last one."""
    found = _Softmax(export)
    return dataclasses.replace(export, calls=tuple(found.softmax(call) or call for call in export.calls))


@dataclasses.dataclass(frozen=True)
class _Powers:
    """w * exp(x - c), of all c at one place of `axis`, None where c is 0; or w * softmax(x).

    least: its sum without w is 1 or more.
    """

    x: Ref
    axis: int | None = None
    least: bool = False
    weights: Any = None
    hidden: Any = None


class _Softmax(Written):
    """Follows a softmax from its last call back to what it is taken of."""

    def softmax(self, last: Call) -> Call | None:
        """The softmax that ends with this call, as one call."""
        ways = (self._quotient, self._product, self._power)
        for way in ways:
            try:
                x, axis, weights, hidden = way(last)
            except (Other, IndexError, KeyError, TypeError, ValueError):
                continue
            if not self._is_fixed(x):
                return dataclasses.replace(last, target=OPERATOR, args=(x, axis, weights, hidden), kwargs={})
        return None

    def _quotient(self, last: Call) -> tuple[Ref, int, Any, Any]:
        """e / sum(e)."""
        same((last.target in DIV, len(last.args), last.kwargs), (True, 2, {}), None)
        return self._normalised(*last.args)

    def _product(self, last: Call) -> tuple[Ref, int, Any, Any]:
        """e * (1 / sum(e))."""
        same((last.target in MUL, len(last.args)), (True, 2), None)
        for powers, factor in (last.args, last.args[::-1]):
            try:
                return self._normalised(powers, self._inverse(factor))
            except (Other, KeyError):
                continue
        raise Other

    def _inverse(self, argument: Any) -> Any:
        """s of 1 / s."""
        call = self._call(argument, _RECIPROCAL, *DIV, *MUL)
        if call.target == _RECIPROCAL:
            return call.args[0]
        if call.target in DIV:
            return same(self._number(call.args[0]), 1.0, call.args[1])
        inner, one = call.args
        return same(self._number(one), 1.0, self._inverse(inner))

    def _power(self, last: Call) -> tuple[Ref, int, Any, Any]:
        """exp(x - logsumexp(x)), exp(log_softmax(x))."""
        same(last.target, "aten.exp.default", None)
        inner = self._call(last.args[0], SUB, *_LOG_SOFTMAX)
        if inner.target in _LOG_SOFTMAX:
            x = self._ref(inner.args[0])
            return x, inner.args[1] % len(self._shape(x)), None, None
        total = self._call(inner.args[1], "aten.logsumexp.default")
        x, axis = self._along(total)
        return same(self._ref(inner.args[0]), x, (x, axis, None, None))

    def _normalised(self, argument: Any, total: Any) -> tuple[Ref, int, Any, Any]:
        """Of powers and what they are divided by."""
        powers = self._powers(argument)
        summed, eps = self._sum(total)
        inner, axis = self._summed(summed)
        same(inner, self._ref(argument), None)
        same(powers.axis in (None, axis), True, None)
        masked = powers.weights is not None or powers.hidden is not None
        if eps and not (powers.least and eps <= (MASKED_EPS if masked else MOST_EPS)):
            raise Other
        return powers.x, axis, powers.weights, powers.hidden

    def _powers(self, argument: Any) -> _Powers:
        """Powers, and constants that multiply them."""
        call = self._call(argument, "aten.exp.default", *_SOFTMAX, *MUL, _FILL)
        if call.target in _SOFTMAX:
            x = self._ref(call.args[0])
            return _Powers(x, call.args[1] % len(self._shape(x)), True)
        if call.target == _FILL:
            powers = self._powers(call.args[0])
            same((powers.hidden, float(call.args[2])), (None, 0.0), None)
            return dataclasses.replace(powers, hidden=call.args[1])
        if call.target in MUL:
            for inner, factor in (call.args, call.args[::-1]):
                if self._is_fixed(factor) and not self._is_fixed(inner):
                    powers = self._powers(inner)
                    return dataclasses.replace(same(powers.weights, None, powers), weights=factor)
            raise Other
        return self._shifted(self._ref(call.args[0]))

    def _shifted(self, x: Ref) -> _Powers:
        """Powers of x, or of what x is but for numbers that are the same along an axis."""
        try:
            call = self._call(x, SUB)
            same((len(call.args), call.kwargs), (2, {}), None)
            before, level = self._ref(call.args[0]), self._ref(call.args[1])
            axis, is_largest = self._level(before, level)
        except (Other, IndexError, KeyError, TypeError, ValueError):
            return _Powers(x)
        return _Powers(before, axis, is_largest)

    def _level(self, x: Ref, level: Ref) -> tuple[int | None, bool]:
        """The axis along which a level of x is one number, None: all; and whether it is the largest x."""
        call = self._calls[level.name]
        if call.target == "aten.max.default":
            return None, False
        call = self._call(call.args[0], "aten.max.dim") if call.target == GETITEM else call
        if call.target not in ("aten.amax.default", "aten.max.dim"):
            raise Other
        inner, axis = self._along(call)
        return axis, inner == x

    def _sum(self, argument: Any) -> tuple[Any, float]:
        """A sum, and an eps that is added to it or below which it does not go."""
        call = self._call(argument, *ADD, *_CLAMP, "aten.sum.dim_IntList", "aten.unsqueeze.default")
        if call.target in _CLAMP:
            given = dict(zip(("min", "max"), call.args[1:], strict=False)) | dict(call.kwargs)
            return same(given.get("max"), None, (call.args[0], self._number(given["min"])))
        if call.target not in ADD:
            return argument, 0.0
        same(call.kwargs, {}, None)
        for total, epsilon in (call.args, call.args[::-1]):
            try:
                return total, self._number(epsilon)
            except (Other, KeyError):
                continue
        raise Other

    def _summed(self, argument: Any) -> tuple[Ref, int]:
        """What is added up along an axis, which stays or comes again, and the axis."""
        call = self._call(argument, "aten.sum.dim_IntList", "aten.unsqueeze.default")
        if call.target == "aten.sum.dim_IntList":
            return self._along(call)
        total, place = call.args
        total = self._call(total, "aten.sum.dim_IntList")
        inner, (axis,), *keep = total.args
        inner = self._ref(inner)
        rank = len(self._shape(inner))
        same((any(keep), axis % rank), (False, place % rank), None)
        return inner, axis % rank
