# SPDX-License-Identifier: Apache-2.0
"""What is added to attention scores before the softmax: a bias for each head, query and key; hidden keys."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch

HIDDEN = numerics.HIDDEN
"""The addend of a hidden key."""


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


def requantized_range(width: int, *, hides: bool, adds: bool) -> tuple[int, int]:
    """The least and the largest score before addends of 16 bits; without them, of logits of `width` bits.

    hides: a code of logits is for hidden keys.
    """
    return (HIDDEN, -HIDDEN - 1) if adds else numerics.logit_range(width, adds=hides)


def is_seen(addends: np.ndarray) -> np.ndarray:
    """Where addends hide no key."""
    return addends != numerics.HIDDEN


def unfit_bias(bias: np.ndarray | None) -> str:
    """What is wrong with a bias's numbers; empty: nothing."""
    if bias is None or bool((np.isfinite(bias) | np.isneginf(bias)).all()):
        return ""
    return "the attention bias must be finite, or -inf where it hides a key"


def described(bias: np.ndarray) -> str:
    """What a bias [H, T, S] does, in words: which keys it hides, and what it adds to the others."""
    hidden = np.isneginf(bias)
    texts = [f"{pattern(hidden)}, {hidden.mean():.0%} of the keys hidden"] if hidden.any() else []
    seen = bias[~hidden]
    if seen.size and seen.any():
        low, high = seen.min() + 0.0, seen.max() + 0.0  # no minus zero
        texts.append(f"a bias {_depends(np.where(hidden, np.nan, bias))}, {low:.3g} to {high:.3g}")
    return " and ".join(texts)


def pattern(hidden: np.ndarray) -> str:
    """The name of a mask [H, T, S], true where a key is hidden."""
    if not (hidden == hidden[:1]).all():
        names = {pattern(head[None]) for head in hidden}
        return f"{names.pop()} by head" if len(names) == 1 else "masks by head"
    head = hidden[0]
    _, keys = head.shape
    if (head == head[0]).all():
        return "padding"
    above = np.triu(np.ones_like(head), keys - len(head) + 1)
    if np.array_equal(head, above):
        return "causal mask"
    causal = bool(head[above].all())
    edges = np.diff(head.astype(np.int8), axis=1, prepend=1, append=1)
    if (np.count_nonzero(edges == -1, axis=1) <= 1).all():
        return "causal band" if causal else "band"
    return "causal pattern" if causal else "pattern"


def _depends(bias: np.ndarray) -> str:
    """What a bias [H, T, S] depends on; NaN where a key is hidden."""
    if _same(bias.transpose(0, 2, 1).reshape(-1, bias.shape[1])):
        return "of each key"
    _, rows, keys = bias.shape
    steps = [np.diagonal(bias, step, 1, 2) for step in range(1 - rows, keys)]
    if all(_same(line) for line in steps):
        return "of the distance"
    return "of each pair"


def _same(lines: np.ndarray) -> bool:
    """Whether the numbers of each line [N, L] are one, but for NaN."""
    known = ~np.isnan(lines)
    first = np.take_along_axis(lines, known.argmax(1)[:, None], 1)
    return bool(((lines == first) | ~known).all())
