# SPDX-License-Identifier: Apache-2.0
"""Top-k routing: from the router's logits to each token's experts and gate weights."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part

CONVENTIONS = ("softmax_all", "renormalised", "softmax_topk", "sigmoid")
"""Gate weights: softmax over all experts; the same, divided by the sum of the chosen; softmax over the
chosen; sigmoid of each chosen. Renormalised and softmax_topk are the same function."""
_MODES = {
    "softmax_all": numerics.GateMode.ALL,
    "renormalised": numerics.GateMode.CHOSEN,
    "softmax_topk": numerics.GateMode.CHOSEN,
    "sigmoid": numerics.GateMode.SIGMOID,
}
GATE_BITS = 15
"""Fractional bits of a gate weight, which is unsigned and at most 1 - 2**-15."""


def check(experts: int, k: int, convention: str) -> None:
    """Raise `TypeMismatch` unless `k` experts of `experts` can be chosen by `convention`."""
    if convention not in CONVENTIONS:
        raise TypeMismatch(f"route: convention must be one of {', '.join(CONVENTIONS)}, not {convention!r}")
    if not 1 <= k <= experts:
        raise TypeMismatch(f"route: k must be in 1..{experts}, not {k}")


def split(route: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expert indices [..., T, k] and gate weights [..., T, k] of a routing [..., T, 2k]."""
    k = route.shape[-1] // 2
    return route[..., :k].astype(np.int64), route[..., k:]


@op
class Route(FloatOp):
    """Float: logits [T, E] -> [T, 2k]: k expert indices by descending logit, then their gate weights."""

    part: ClassVar[Part] = Part.ROUTING
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.ROUTER, (Part.LINEAR, Part.CHOICE), "a router's input"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.ROUTING,)
    units: ClassVar[tuple[str, ...]] = ("drain_route",)

    k: int
    convention: str

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check(x.shape[-1], self.k, self.convention)
        return TensorType((x.shape[0], 2 * self.k))

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        logits = arrays[0]
        chosen = numerics.top_k(logits, self.k)
        picked = np.take_along_axis(logits, chosen, -1)
        if self.convention == "sigmoid":
            with np.errstate(over="ignore"):  # beyond float64 the sigmoid is zero
                gates = 1 / (1 + np.exp(-picked))
        else:
            top = picked[..., :1]
            over = logits if self.convention == "softmax_all" else picked
            gates = np.exp(picked - top) / np.exp(over - top).sum(-1, keepdims=True)
        return np.concatenate([chosen, gates], -1)


@op
class IntegerRoute(Op):
    """Logits [T, E] -> [T, 2k]: k expert indices by descending logit, then gates in units of 2**-15.

    `table` holds exp of (row maximum - logit), or sigmoid of the logit (by its offset binary), in units of
    2**-15; see `numerics.route`.
    """

    k: int
    convention: str
    table: np.ndarray

    @property
    def mode(self) -> numerics.GateMode:
        """How the machine makes the gates."""
        return _MODES[self.convention]

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check(x.shape[-1], self.k, self.convention)
        if len(self.table) != 1 << x.bits:
            raise TypeMismatch(f"route: table must have {1 << x.bits} entries, not {len(self.table)}")
        if x.shape[-1] * numerics.GATE_ONE >= 1 << 32:
            raise RangeOverflow(f"route: {x.shape[-1]} experts leave the 32-bit denominator")
        return TensorType((x.shape[0], 2 * self.k), 0, max(numerics.GATE_ONE, x.shape[-1] - 1), 1.0)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(numerics.route(arrays[0], self.k, self.mode, self.table), -1)
