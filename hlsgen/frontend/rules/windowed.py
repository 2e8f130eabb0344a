# SPDX-License-Identifier: Apache-2.0
"""Attention by windows: one attention of all windows' tokens, in which a query sees the keys of its window.

Windows stand in front of the heads, [..., H, T, d]. Their tokens become rows one window behind another,
[H, n*T, d]; a value [..., H, T, S] of scores or weights is the blocks of [H, n*T, n*S] on its diagonal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.grouped import Factor, moved, same_tokens
from hlsgen.frontend.rules.terms import Term, Value
from hlsgen.ops import Scores, Softmax


def windows(x: Any) -> int:
    """Windows of a factor [..., H, T, d]; 1: all its tokens are the image's."""
    shape = tuple(x.shape)
    count = math.prod(shape[:-3])
    return count if len(shape) > 3 and count > 1 and isinstance(x, Value) and not same_tokens(x) else 1


def stacked_windows(x: Factor, count: int) -> Any:
    """A factor [..., H, T, d] of so many windows as [H, n*T, d]; one without windows is each window's."""

    def fold(ids: torch.Tensor) -> torch.Tensor:
        lead = ids.reshape(-1, *ids.shape[-3:]) if ids.dim() > 2 else ids[None, None]
        lead = lead.expand(count, *lead.shape[1:])
        return lead.movedim(0, 1).reshape(lead.shape[1], -1, lead.shape[-1])

    return moved(x, fold)


def by_window(x: Value, count: int, lead: tuple[int, ...]) -> Value:
    """A value [H, n*T, d] as [*lead, T, d], windows in front of heads."""

    def unfold(ids: torch.Tensor) -> torch.Tensor:
        heads, _, width = ids.shape
        return ids.reshape(heads, count, -1, width).movedim(1, 0).reshape(*lead, -1, width)

    return x.map(unfold)


def blocks(term: Term, count: int, lead: tuple[int, ...]) -> Value:
    """Of scores or weights [H, n*T, n*S] the windows' own, [*lead, T, S]."""
    ids = _places(term, count)
    return Value(term, ids.reshape(*lead, *ids.shape[-2:]))


def _places(term: Term, count: int) -> torch.Tensor:
    heads, queries, keys = term.shape
    window, head = torch.arange(count)[:, None, None, None], torch.arange(heads)[:, None, None]
    row = window * (queries // count) + torch.arange(queries // count)[:, None]
    column = window * (keys // count) + torch.arange(keys // count)
    return (head * queries + row) * keys + column


def windows_of(x: Value) -> int:
    """Windows of scores or weights [..., H, T, S] that are the blocks of a term; 1: they are none."""
    term = x.term
    if not isinstance(term.op, Scores | Softmax) or len(x.shape) < 4:
        return 1
    count = math.prod(x.shape[:-3])
    sizes = (x.shape[-3], x.shape[-2] * count, x.shape[-1] * count)
    if count < 2 or tuple(term.shape) != sizes:
        return 1
    ids = x.ids.reshape(count, *x.shape[-3:])
    return count if bool(((ids == _places(term, count)) | (ids < 0)).all()) else 1


def dense(bias: np.ndarray, count: int) -> np.ndarray:
    """The bias [H, n*T, n*S] of scores whose windows have a bias [n*H, T, S]: other windows are hidden."""
    _, rows, keys = bias.shape
    each = bias.reshape(count, -1, rows, keys)
    result = np.full((each.shape[1], count, rows, count, keys), -np.inf)
    for window in range(count):
        result[:, window, :, window] = each[window]
    return result.reshape(each.shape[1], count * rows, count * keys)
