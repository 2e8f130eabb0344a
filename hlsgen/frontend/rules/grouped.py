# SPDX-License-Identifier: Apache-2.0
"""Grouped queries: heads that meet the same keys or values (Shazeer 2019; Ainslie et al. 2023).

Models repeat keys and values (`repeat_interleave`, `expand`), let a batched product broadcast them, or put
the queries of a group's heads side by side as rows. All of these are ids: heads whose ids are those of the
head before them share its keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from hlsgen.frontend.rules.terms import Refusal, Value

Factor = Value | torch.Tensor
"""A tensor [H, T, d]: computed from the image, or learned."""
Move = Callable[[torch.Tensor], torch.Tensor]
WHOLE = "every token attends to every token on the machine"


def moved(x: Factor, move: Move) -> Any:
    """A rearrangement of a computed or a learned tensor."""
    return x.map(move) if isinstance(x, Value) else move(x)


def by_head(x: Any, what: str) -> Factor:
    """A tensor as [H, T, d]; more axes in front are heads too, where all of them have the same tokens."""
    shape = tuple(x.shape)
    if len(shape) < 2 or (math.prod(shape[:-3]) != 1 and not same_tokens(x)):
        why = "all tokens of the image attend to each other at once: there is no attention within windows"
        raise Refusal(f"{what} must be [1, heads, tokens, channels], not {list(shape)}", why=why)
    return moved(x, lambda ids: ids.reshape(-1, *shape[-2:]))


def same_tokens(x: Factor) -> bool:
    """Whether each [T, d] of a tensor, or its transpose, is of the same tokens of one term, in one order."""
    if not isinstance(x, Value) or len(x.term.shape) != 2 or int(x.ids.min()) < 0:
        return False
    tokens = (x.ids // x.term.shape[-1]).reshape(-1, *x.shape[-2:])
    return bool((tokens == tokens[:1]).all())


def aligned(x: Factor, y: Factor) -> tuple[Any, Any]:
    """Both factors of a batched product, each repeated along the axes in front that only the other one has.

    One head in front of all, or none, stays one: it is repeated where that is needed.
    """
    if max(len(x.shape), len(y.shape)) < 5:
        return x, y
    lead = tuple(torch.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])))

    def repeated(part: Any) -> Any:
        return part.expand((*lead, *part.shape[-2:])) if math.prod(part.shape[:-2]) != 1 else part

    return repeated(x), repeated(y)


def served(x: Factor) -> tuple[Any, int]:
    """The heads of keys or values [H, T, d] that differ, and how many heads more each of them serves."""
    heads = x.shape[0]
    for parts in range(1, heads):
        if heads % parts == 0:
            each = heads // parts
            first = moved(x, lambda ids, each=each: ids[::each])
            if _equal(x, moved(first, lambda ids, each=each: ids.repeat_interleave(each, 0))):
                return first, each - 1
    return x, 0


def _equal(x: Factor, y: Factor) -> bool:
    if not isinstance(x, Value) or not isinstance(y, Value):
        return isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) and torch.equal(x, y)
    pairs = [(x.ids, y.ids), *((getattr(x, name), getattr(y, name)) for name in ("scale", "offset"))]
    return all(torch.equal(a, b) for a, b in pairs if isinstance(a, torch.Tensor))


def heads_in_rows(x: Factor) -> int:
    """How many heads lie side by side in the rows of [G, r*T, d]: each row's token is that T rows before."""
    if not isinstance(x, Value) or len(x.term.shape) != 2 or int(x.ids.min()) < 0:
        return 1
    rows, tokens = x.shape[1], x.ids // x.term.shape[-1]
    count = len(tokens.unique())
    if count == rows or rows % count or not bool((tokens == tokens[:1, :, :1]).all()):
        return 1
    groups = tokens[0, :, 0].reshape(-1, count)
    return rows // count if bool((groups == groups[:1]).all()) else 1


def rows_in_another_order(weights: Value) -> torch.Tensor | None:
    """The row of all heads' weights [H*T, S] that each row of [..., S] is; None: in order, or cut."""
    heads, tokens, keys = weights.term.shape
    ids = weights.ids.reshape(-1, weights.shape[-1])
    rows = ids[:, 0] // keys
    every = torch.arange(heads * tokens)
    if ids.shape != (heads * tokens, keys) or torch.equal(rows, every):
        return None
    whole = torch.equal(ids, rows[:, None] * keys + torch.arange(keys)) and torch.equal(
        rows.sort().values, every
    )
    return rows if whole else None
