# SPDX-License-Identifier: Apache-2.0
"""Softmax over the keys; in integers its numerator only, the division is deferred to the context."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part

MOST_NUMERATOR_BITS = 12
"""Bits of a softmax numerator at most."""


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
    """Logits [H, T, S] -> e [H, T, S], 8 to 12 bits without a sign: table[row maximum - logit].

    `table` has one entry per logit difference, table[0] = 2**bits - 1; see `numerics.exp_table`. hidden: a
    hidden key's logit, of which e is 0; None: no key is hidden.
    """

    table: np.ndarray
    hidden: int | None = None

    @property
    def bits(self) -> int:
        """Bits of the largest e; 8 at least."""
        return max(8, int(self.table.max(initial=0)).bit_length())

    @property
    def digits(self) -> int:
        """Digits of 8 bits that e has."""
        return 1 if self.bits == 8 else 2

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if len(self.table) != 1 << x.bits:
            raise TypeMismatch(f"exp: table must have {1 << x.bits} entries, not {len(self.table)}")
        if self.bits > MOST_NUMERATOR_BITS or self.table.min() < 0:
            least, most = self.table.min(), (1 << MOST_NUMERATOR_BITS) - 1
            raise TypeMismatch(f"exp: table must be in 0..{most}, not {least}..{self.table.max()}")
        one = (1 << self.bits) - 1
        return TensorType(x.shape, 0, one, 1 / one)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return numerics.exp_lookup(self.table, arrays[0], self.hidden)
