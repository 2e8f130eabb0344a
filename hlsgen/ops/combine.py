# SPDX-License-Identifier: Apache-2.0
"""The experts' results, weighted by their gates, on the residual stream."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.add import RESIDUAL_HIGH, RESIDUAL_LOW
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.route import GATE_BITS, split


def _check(x: TensorType, results: TensorType, route: TensorType) -> None:
    choices = route.shape[0] * (route.shape[-1] // 2)
    if x.shape[0] != route.shape[0] or results.shape != (choices, x.shape[-1]):
        raise TypeMismatch(f"combine: {x.shape}, {results.shape} and routing {route.shape} must fit")


@op
class Combine(FloatOp):
    """Float: x [T, N], expert results [T*k, N], routing [T, 2k] -> x + sum of gate * result, [T, N]."""

    part: ClassVar[Part] = Part.STREAM
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.WIDE, TOKENS, "what a mixture of experts is added to"),
        Input(Kind.WIDE, (Part.EXPERTS,), "what a mixture adds up"),
        Input(Kind.ROUTING, (Part.ROUTING,), "a mixture's weights"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.WIDE,)
    units: ClassVar[tuple[str, ...]] = ("drain_combine",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        _check(*types)
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        x, results, route = arrays
        _, gates = split(route)
        parts = results.reshape(*gates.shape, -1)
        return x + (parts * gates[..., None]).sum(-2)


@op
class IntegerCombine(Op):
    """int16 residual, expert results and gates -> int16, one expert after another in ascending order.

    Each adds round_shift(result * gate, 15 - `left`) and saturates; the results' scale is the residual's
    times 2**`left`.
    """

    left: int

    def infer(self, *types: TensorType) -> TensorType:
        _check(*types)
        x, results, _ = types
        if not 0 <= self.left <= GATE_BITS:
            raise TypeMismatch(f"combine: left must be in 0..{GATE_BITS}, not {self.left}")
        if results.scale != (x.scale or 0.0) * 2.0**self.left:
            raise TypeMismatch(f"combine: scale {results.scale} must be 2**{self.left} times {x.scale}")
        return TensorType(x.shape, RESIDUAL_LOW, RESIDUAL_HIGH, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        x, results, route = arrays
        chosen, gates = split(route)
        order = np.argsort(chosen, -1)
        parts = results.reshape(*chosen.shape, -1)
        total = x
        for rank in range(chosen.shape[-1]):
            place = order[..., rank : rank + 1]
            gate = np.take_along_axis(gates, place, -1)
            part = np.take_along_axis(parts, place[..., None], -2)[..., 0, :]
            total = numerics.gated_add(total, part, gate, GATE_BITS - self.left)
        return total
