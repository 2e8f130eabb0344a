# SPDX-License-Identifier: Apache-2.0
"""What is added to attention scores before the softmax: a bias for each head, query and key; hidden keys."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch


def check_bias(name: str, bias: np.ndarray | None, shape: tuple[int, ...]) -> None:
    """Raise `TypeMismatch` unless the bias has the scores' shape [H, T, S]."""
    if bias is not None and bias.shape != shape:
        raise TypeMismatch(f"{name}: the bias {bias.shape} must have the scores' shape {shape}")


def check_addends(name: str, addends: np.ndarray | None, shape: tuple[int, ...]) -> None:
    """The same for addends, which must be 16 bits wide, too."""
    check_bias(name, addends, shape)
    if addends is None or not addends.size:
        return
    low, high = int(addends.min()), int(addends.max())
    if low < numerics.HIDDEN or high > -numerics.HIDDEN - 1:
        raise RangeOverflow(f"{name}: addends {low}..{high} leave 16 bits")


def unfit_bias(bias: np.ndarray | None) -> str:
    """What is wrong with a bias's numbers; empty: nothing."""
    if bias is None or bool((np.isfinite(bias) | np.isneginf(bias)).all()):
        return ""
    return "the attention bias must be finite, or -inf where it hides a key"
