# SPDX-License-Identifier: Apache-2.0
"""Hidden keys and biases: what is added to attention scores, and what is put in their place, before softmax.

A mask in any spelling ends as a constant on the value: -inf, or a number far below a row's others, is added
to a score, or takes its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.terms import Refusal, Value

HIDES = 64.0
"""A key is hidden if its bias lies so far below the largest of its row: exp(-64) < 2**-92."""


def causal(queries: int, keys: int) -> torch.Tensor:
    """The mask [T, S] by which a query sees no later key; true where it sees one."""
    return torch.ones(queries, keys, dtype=torch.bool).tril()


def with_mask(scores: Value, mask: torch.Tensor) -> Value:
    """Scores plus a mask as `scaled_dot_product_attention` takes it: true where a key is seen, or numbers."""
    if mask.dtype is torch.bool:
        mask = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -torch.inf)
    return scores.plus(mask)


def replaced(scores: Value, mask: torch.Tensor, number: torch.Tensor) -> Value:
    """Scores with `number`, a constant, in their place where the mask is true; all broadcast."""
    shape = tuple(torch.broadcast_shapes(scores.shape, tuple(mask.shape), tuple(number.shape)))
    scores, mask = scores.expand(shape), mask.expand(shape)
    offset = torch.zeros(()).double() if scores.offset is None else scores.offset
    ids = torch.where(mask, -1, scores.ids)
    return Value(scores.term, ids, scores.scale, torch.where(mask, number.double(), offset).expand(shape))


def apart(scores: Value) -> tuple[Value, np.ndarray | None]:
    """Scores [H, T, S] without their constants, and these as a bias; None: they change no softmax.

    What is added to a whole row changes none. Raises `Refusal` where a score that counts is a constant.
    """
    offset = scores.offset
    if offset is None:
        return scores, None
    if bool(offset.isnan().any() or offset.isposinf().any()):
        raise Refusal("an attention bias must be finite, or -inf where it hides a key", intrinsic=True)
    constant = scores.ids < 0
    dull = constant.all(-1, keepdim=True) & offset.isfinite()
    largest = offset.masked_fill(constant & ~dull, -torch.inf).amax(-1, keepdim=True)
    hidden = (offset <= largest - HIDES) | offset.isneginf()
    if bool((constant & ~hidden & ~dull).any()):
        raise Refusal(
            "a constant takes the place of attention scores that count",
            why="a score is a product of query and key, plus a constant",
            fix="hide a key by -inf; of a query that sees no key the result is zeros",
        )
    level = offset.masked_fill(hidden, -torch.inf).amax(-1, keepdim=True)
    flat = ((offset == level) | hidden).all(-1, keepdim=True)
    bias = torch.where(flat & ~level.isneginf(), offset - level, offset).masked_fill(hidden, -torch.inf)
    plain = Value(scores.term, scores.ids, scores.scale)
    if bool(dull.any()):  # constants alone: queries of zeros
        plain = plain.scaled((~dull.any(-1, keepdim=True)).double().expand(plain.shape))
    return plain, np.array(bias.numpy(), order="C") if bool(bias.any()) else None


def same(ids: torch.Tensor, whole: torch.Tensor) -> bool:
    """Whether ids are the elements `whole`, but for those that constants have taken the place of."""
    flat = ids.flatten()
    return len(flat) == len(whole) and bool(((flat == whole) | (flat < 0)).all())


def finite(value: Value, what: Any) -> None:
    """Raise `Refusal` where something hides keys before heads are mixed."""
    if value.offset is not None and not bool(value.offset.isfinite().all()):
        raise Refusal(f"{what} of hidden keys are mixed over the heads", fix="hide keys right before softmax")
