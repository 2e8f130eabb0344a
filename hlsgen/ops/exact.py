# SPDX-License-Identifier: Apache-2.0
"""Layers and norms that change no integer."""

from __future__ import annotations

from typing import Any

import numpy as np

from hlsgen import numerics
from hlsgen.ir import TensorType
from hlsgen.ops import IntegerGroupedLinear, IntegerLinear, IntegerRMSNorm
from hlsgen.ops.cast import ROOT_BITS


def is_narrow(kind: TensorType) -> bool:
    """Whether a tensor fits 8 bits, as operands of a product must."""
    low, high = kind.integer_range
    return low >= -128 and high <= 127


def identity(kind: TensorType, groups: int = 1) -> IntegerLinear | IntegerGroupedLinear:
    """The layer whose result is its input of type `kind`; group by group where there are several."""
    width, (low, high) = kind.shape[-1], kind.integer_range
    multiplier, shift = numerics.dyadic(1.0)  # `requantize` then changes nothing
    fields: dict[str, Any] = {
        "bias": np.zeros(width, np.int64), "multiplier": np.full(width, multiplier),
        "shift": np.full(width, shift), "low": low, "high": high, "scale": kind.scale or 1.0,
    }  # fmt: skip
    if groups == 1:
        return IntegerLinear(weight=np.eye(width, dtype=np.int8), **fields)
    weight = np.tile(np.eye(width // groups, dtype=np.int8), (groups, 1))
    return IntegerGroupedLinear(groups=groups, weight=weight, **fields)


def dense(op: IntegerGroupedLinear) -> IntegerLinear:
    """The linear layer with the same result: other groups have weights of zero."""
    outputs, inputs = len(op.weight) // op.groups, op.weight.shape[1]
    weight = np.zeros((op.groups, outputs, op.groups, inputs), np.int8)
    every = np.arange(op.groups)
    weight[every, :, every] = op.weight.reshape(op.groups, outputs, inputs)
    return IntegerLinear(
        weight=weight.reshape(op.groups * outputs, -1), bias=op.bias, multiplier=op.multiplier,
        shift=op.shift, low=op.low, high=op.high, scale=op.scale,
    )  # fmt: skip


def unit_norm(width: int) -> IntegerRMSNorm:
    """The norm that gives rows of 8 bits in the residual memory as they are.

    Its epsilon is so much more than any such row that all rows are divided by one number, to within 2**-8:
    see `IntegerCast`.
    """
    root = min(ROOT_BITS, width.bit_length() - 1 + numerics.MULTIPLIER_BITS - 1)
    gain, shift = numerics.dyadic(2.0**root / width)
    return IntegerRMSNorm(epsilon=1 << (2 * root), gain=gain, gain_shift=shift)
