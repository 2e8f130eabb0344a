# SPDX-License-Identifier: Apache-2.0
"""The rule for `torch.where`: a constant choice, a function of one layer's elements, a token's own expert."""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.rules.affine import add
from hlsgen.frontend.rules.dispatch import apart
from hlsgen.frontend.rules.masks import replaced
from hlsgen.frontend.rules.pointwise import together
from hlsgen.frontend.rules.routing import Gates, check_groups, product
from hlsgen.frontend.rules.rule import CallSite, computed, constant, rule
from hlsgen.frontend.rules.scores import scorable
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.ops import Softmax

HIDES_TOKENS = "a mask that hides tokens is not supported"
FINITE = "finite constants may take the place of tokens; minus infinity hides scores alone"


@rule("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(at: CallSite, condition: Any, x: Any, y: Any) -> Value:
    """One of both where the condition is constant and the same everywhere, or a function of one layer."""
    if isinstance(condition, torch.Tensor):
        chosen = x if bool(condition.all()) else y if not bool(condition.any()) else None
        if isinstance(chosen, Value):
            other = y if chosen is x else x
            shapes = [tuple(getattr(part, "shape", ())) for part in (condition, other)]
            return chosen.expand(tuple(torch.broadcast_shapes(chosen.shape, *shapes)))
        if isinstance(x, Value) and not isinstance(y, Value):
            return _filled(at, x, ~condition, torch.as_tensor(y))
        if isinstance(y, Value) and not isinstance(x, Value):
            return _filled(at, y, condition, torch.as_tensor(x))
    elif isinstance(condition, Value) and isinstance(condition.term.op, Gates):
        return _of_expert(at, condition, computed(x, "an expert's result"), y)
    elif (found := together(at, "where", condition, x, y)) is not None:
        return found
    raise Refusal(HIDES_TOKENS, why=FINITE)


@rule("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(at: CallSite, x: Any, mask: Any, number: Any) -> Value:
    """Constants in the place of attention scores, or of elements of tokens."""
    x, mask = computed(x, "the masked tensor"), constant(mask, "the mask")
    if not bool(mask.any()):
        return x
    if at.routed:
        check_groups(x)
    return _filled(at, x, mask, torch.as_tensor(constant(torch.as_tensor(number), "the number")))


def _filled(at: CallSite, x: Value, mask: torch.Tensor, number: torch.Tensor) -> Value:
    """The value with constants where a constant mask is true; raises `Refusal`."""
    if _replaceable(x, number):
        return replaced(x, mask, number)
    if at.routed or len(x.term.shape) != 2 or not bool(number.isfinite().all()):
        raise Refusal(HIDES_TOKENS, why=FINITE)
    shape = tuple(torch.broadcast_shapes(x.shape, mask.shape, number.shape))
    x, number = x.expand(shape), number.double().expand(shape)
    offset = torch.zeros(shape, dtype=torch.float64) if x.offset is None else x.offset
    offset = torch.where(mask, number, offset)
    ids = torch.where(mask, -1, x.ids)
    return Value(x.term, ids, x.scale, offset if bool(offset.any()) else None)


def _replaceable(x: Value, number: Any) -> bool:
    """Whether a number may take the place of elements: of scores, or zero that of weights of hidden keys."""
    weights = isinstance(x.term.op, Softmax) and not bool(torch.as_tensor(number).any())
    return weights or scorable(x)


def _of_expert(at: CallSite, mask: Value, results: Value, total: Any) -> Value:
    """A sum over experts with the results of one more, at the tokens that chose it; raises `Refusal`."""
    total = torch.as_tensor(total) if not isinstance(total, Value) else total
    mine = product(at, mask, results)
    if mine is None or not apart(total, mine.term):
        raise Refusal("an expert's results are put where others may be")
    return add(at, total, mine)
