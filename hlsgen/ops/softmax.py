# SPDX-License-Identifier: Apache-2.0
"""Softmax over the keys; in integers its numerator only, the division is deferred to the context."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part


@op
class Softmax(FloatOp):
    """Float: softmax over the last axis; of a row of -inf alone, zeros."""

    part: ClassVar[Part] = Part.SOFTMAX
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.LOGITS, (Part.SCORES,), "the input of softmax"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NUMERATOR,)
    units: ClassVar[tuple[str, ...]] = ("load_exp",)

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        largest = arrays[0].max(-1, keepdims=True)
        hidden = np.isneginf(largest)
        e = arrays[0] - np.where(hidden, 0.0, largest)
        np.exp(e, out=e)
        e /= e.sum(-1, keepdims=True) + hidden
        return e


@op
class IntegerExp(Op):
    """Logits [H, T, S] -> e [H, T, S] in 0..255: table[row maximum - logit].

    `table` has one entry per logit difference, table[0] = 255; see `numerics.exp_table`. hidden: a hidden
    key's logit, of which e is 0; None: no key is hidden.
    """

    table: np.ndarray
    hidden: int | None = None

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if len(self.table) != 1 << x.bits:
            raise TypeMismatch(f"exp: table must have {1 << x.bits} entries, not {len(self.table)}")
        return TensorType(x.shape, 0, numerics.EXP_ONE, 1 / numerics.EXP_ONE)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return numerics.exp_lookup(self.table, arrays[0], self.hidden)
