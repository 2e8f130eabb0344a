# SPDX-License-Identifier: Apache-2.0
"""Rules for `nn.RMSNorm`, and the same written out: x * rsqrt(mean(x**2) + eps) in the usual spellings.

The factor per channel behind it is a multiplication of its own, which the rule of `aten.mul` folds in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.read.export import Call, Export, Ref
from hlsgen.frontend.rules.norms import normalised
from hlsgen.frontend.rules.rule import CallSite, array, computed, constant, rewrite, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.views import CASTS, SAME
from hlsgen.ops import RMSNorm

OPERATOR = "aten.rms_norm.default"
_ADD = ("aten.add.Tensor", "aten.add.Scalar")
_MUL = ("aten.mul.Tensor", "aten.mul.Scalar")
_DIV = ("aten.div.Tensor", "aten.div.Scalar")
_POWER = "aten.pow.Tensor_Scalar"


@rule(OPERATOR)
def rms_norm(at: CallSite, x: Any, shape: list[int], weight: Any = None, eps: float | None = None) -> Value:
    """RMS norm over the last axis; without `eps` that of float32."""
    x = computed(x, "the RMS norm's input")
    if len(shape) != 1:
        raise Refusal(f"RMS norm must be over the channels, not over {len(shape)} axes")
    gamma = torch.ones(shape[0]) if weight is None else constant(weight, "the RMS norm's weight")
    epsilon = torch.finfo(torch.float32).eps if eps is None else float(eps)
    op = RMSNorm(gamma=array(gamma), beta=np.zeros(shape[0], np.float32), eps=epsilon)
    return normalised(at, op, x, at.name("rms_norm", parameter=2))


@rule("aten._fused_rms_norm.default")
def fused_rms_norm(
    at: CallSite, x: Any, shape: list[int], weight: Any = None, eps: float | None = None
) -> tuple[Value, None]:
    """What torch decomposes `nn.RMSNorm` to: the norm, and a root that only training reads."""
    return rms_norm(at, x, shape, weight, eps), None


@rewrite
def with_rms_norms(export: Export) -> Export:
    """The export with every RMS norm that is written out as one call, under the name of its last one."""
    norms = _Norms(export)
    return dataclasses.replace(export, calls=tuple(norms.norm(call) or call for call in export.calls))


class _Other(Exception):
    """It is something else."""


class _Norms:
    """Follows a norm from its last call back to the tokens."""

    def __init__(self, export: Export) -> None:
        self._calls = {call.name: call for call in export.calls}
        self._constants = export.constants

    def norm(self, last: Call) -> Call | None:
        """The norm that ends with this call, as one call."""
        width = last.shape[-1] if last.shape else 0
        for x, epsilon in self._candidates(last):
            if x is not None and width:
                return dataclasses.replace(last, target=OPERATOR, args=(x, [width], None, epsilon), kwargs={})
        return None

    def _candidates(self, last: Call) -> list[tuple[Ref | None, float]]:
        """x and eps for each way in which the call may be the end of a norm; no x: it is not."""
        if len(last.args) != 2 or last.kwargs:
            return []
        first, second = last.args
        if last.target in _MUL:
            return [self._try(first, second, inverse=True), self._try(second, first, inverse=True)]
        return [self._try(first, second, inverse=False)] if last.target in _DIV else []

    def _try(self, x: Any, root: Any, *, inverse: bool) -> tuple[Ref | None, float]:
        try:
            inner = self._inverse_root(root) if inverse else self._root(root)
            return self._mean_square(inner, self._plain(x))
        except (_Other, IndexError, KeyError, TypeError, ValueError):
            return None, 0.0

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

    def _mean_square(self, argument: Any, x: Any) -> tuple[Ref, float]:
        """x and eps of mean(x**2) + eps."""
        call = self._call(argument, *_ADD)
        if call.kwargs or not isinstance(x, Ref):
            raise _Other
        for mean, epsilon in (call.args, call.args[::-1]):
            try:
                number = self._number(epsilon)
            except (_Other, KeyError):
                continue
            square = self._mean(mean)
            for factor in self._square(square):
                _same(self._plain(factor), x, None)
            return x, number
        raise _Other

    def _mean(self, argument: Any) -> Any:
        """What is averaged over the last axis, which stays: by mean, or by a sum and a division."""
        call = self._call(argument, "aten.mean.dim", *_DIV)
        if call.target in _DIV:
            total = self._call(call.args[0], "aten.sum.dim_IntList")
            inner = self._over_last(total)
            return _same(self._number(call.args[1]), float(self._shape(inner)[-1]), inner)
        return self._over_last(call)

    def _over_last(self, call: Call) -> Any:
        inner, (axis,), keep = call.args
        rank = len(self._shape(inner))
        return _same((axis % rank, bool(keep), call.kwargs), (rank - 1, True, {}), inner)

    def _shape(self, argument: Any) -> tuple[int, ...]:
        """The static shape of a call's result."""
        shape = self._calls[argument.name].shape
        if not shape:
            raise _Other
        return shape

    def _square(self, argument: Any) -> tuple[Any, Any]:
        """Both factors of x**2, x * x."""
        call = self._call(argument, _POWER, "aten.square.default", *_MUL)
        if call.target in _MUL:
            first, second = call.args
            return first, second
        if call.target == _POWER:
            _same(self._number(call.args[1]), 2.0, None)
        return call.args[0], call.args[0]


def _same(found: Any, wanted: Any, result: Any) -> Any:
    """`result`, where both are equal."""
    if found != wanted:
        raise _Other
    return result
