# SPDX-License-Identifier: Apache-2.0
"""Attention weights that a mask puts to zero behind the softmax, where the softmax has made zeros already."""

from __future__ import annotations

import torch

from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.ops import Scores, Softmax


def seen(weights: Value) -> tuple[Value, torch.Tensor | None]:
    """The weights [..., T, S] without zeros that say nothing, and which rows [..., T, 1] are not all zeros.

    None: all of them. Zeros say nothing where they stand at hidden keys, or in whole rows.
    """
    scale, ids, term = weights.scale, weights.ids, weights.term
    blank = ids < 0
    if isinstance(scale, torch.Tensor):
        blank = blank | (scale == 0)
    if not isinstance(term.op, Softmax) or not bool(blank.any()):
        return weights, None
    whole = torch.arange(term.size)
    if ids.numel() != term.size or not bool(((ids.flatten() == whole) | blank.flatten()).all()):
        return weights, None
    scores = term.inputs[0].op
    bias = scores.bias if isinstance(scores, Scores) else None
    hidden = torch.zeros(ids.shape, dtype=torch.bool)
    if bias is not None:
        hidden = torch.from_numpy(bias).isneginf().expand(term.shape).reshape(ids.shape)
    rows = blank.all(-1, keepdim=True)
    if bool((blank & ~hidden & ~rows).any()):
        raise Refusal(
            "attention weights of keys that count are put to zero",
            why="the machine divides by the sum of all weights of a query",
            fix="hide the keys before the softmax: masked_fill(mask, -inf)",
        )
    if isinstance(scale, torch.Tensor):
        scale = torch.where(blank, scale[~blank][:1] if bool((~blank).any()) else 1.0, scale)
    plain = Value(term, whole.reshape(ids.shape), scale, _nothing(weights, blank))
    return plain, ~rows if bool(rows.any()) else None


def _nothing(weights: Value, blank: torch.Tensor) -> torch.Tensor | None:
    """The constants on the weights; none are left where zeros alone took places."""
    offset = weights.offset
    return None if offset is None or not bool(offset[~blank].any() | offset[blank].any()) else offset
