# SPDX-License-Identifier: Apache-2.0
"""Tokens that are sent to the expert that they chose, and its results on their way back.

The machine's mixture gives each token the sum over its experts. A loop over experts gives the same when each
expert's results meet its own gate, and only then: all that is done between with an expert's tokens is read as
if all tokens were its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from hlsgen.frontend.rules.routing import (
    THREE_WAYS,
    Among,
    Best,
    Gated,
    Gates,
    Mask,
    Routing,
    gated,
    made,
)
from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.terms import Refusal, Term, Value
from hlsgen.ops import Activation, Add, Linear

TOKEN, SLOT, FIRST = "token", "slot", "first"
_BY_IMAGE = "elements are chosen by what the image holds"


@dataclass(frozen=True)
class Picked:
    """Where an expert was chosen: the tokens, which of their choices it was, or zeros of an axis of size 1.

    `slot` is the only choice that was searched, if it was one. `order` says how they are sorted: positions
    go together with those of the same order only.
    """

    logits: Term
    k: int
    expert: int
    slot: int | None
    order: tuple[str, ...]
    role: str

    @property
    def choice(self) -> tuple[Any, ...]:
        """What all positions of one search have in common."""
        return self.logits, self.k, self.expert, self.slot, self.order


def picked(at: CallSite, mask: Value) -> tuple[Picked, ...]:
    """The positions along each axis at which a mask of one expert has ones; raises `Refusal`.

    All searches of one choice must sort their positions alike, so that those of each go together.
    """
    op, term = mask.term.op, mask.term
    if isinstance(op, Mask | Gates) and op.convention == "one" and mask.offset is None:
        experts, logits = term.shape[-1], term.inputs[0]
        slots = op.k if isinstance(op, Mask) else 1
        expert, places = int(mask.ids.flatten()[0]) % experts, mask.ids // experts
        found = _axes(places, term.shape[0], slots)
        if found is not None and bool((mask.ids % experts == expert).all()):
            slot, order = found
            slot = None if isinstance(op, Gates) and op.k > 1 else slot
            sort = tuple(role for role in order if role != FIRST)
            key = ("order", logits, op.k, expert, slot)
            if at.terms.cached(key, lambda: sort) != sort:  # type: ignore[arg-type,comparison-overlap,return-value]
                raise Refusal("the tokens of an expert are searched in two orders")
            return tuple(Picked(logits, op.k, expert, slot, order, role) for role in order)
    raise Refusal(
        "positions are searched by what the image holds",
        why="hardware runs one fixed program for every image",
        fix=THREE_WAYS,
    )


def _axes(places: torch.Tensor, tokens: int, slots: int) -> tuple[int | None, tuple[str, ...]] | None:
    """The only slot or None for all, and what each axis of places [token * slots + slot] counts."""
    long = [axis for axis, size in enumerate(places.shape) if size > 1]
    flat = places.squeeze()
    whole = torch.arange(tokens * slots).reshape(tokens, slots)
    order = [FIRST] * places.dim()
    if tokens == 1 or not long:
        return None
    if len(long) == 1 and torch.equal(flat, whole[:, int(flat[0]) % slots]):
        order[long[0]] = TOKEN
        return int(flat[0]) % slots, tuple(order)
    if len(long) == 2 and slots > 1:
        for wanted, roles in ((whole, (TOKEN, SLOT)), (whole.T, (SLOT, TOKEN))):
            if torch.equal(flat, wanted):
                order[long[0]], order[long[1]] = roles
                return None, tuple(order)
    return None


def searched(at: CallSite, item: Any) -> tuple[Any, ...]:
    """An index as indices of whole numbers: a mask of one expert as the positions of its ones."""
    is_mask = isinstance(item, Value) and isinstance(item.term.op, Mask | Gates)
    return picked(at, item) if is_mask else (item,)


def at_picked(at: CallSite, value: Any, indices: list[Any]) -> Any:
    """An expert's tokens, or its gates for them; raises `Refusal`."""
    places = {axis: item for axis, item in enumerate(indices) if item is not None}
    _check(tuple(value.shape), places)
    first, before = next(iter(places.values())), min(places)

    def move(tensor: torch.Tensor) -> torch.Tensor:
        return _tokens_first(tensor, {axis: item.role for axis, item in places.items()})

    def back(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.movedim(0, before)

    moved = move(value) if isinstance(value, torch.Tensor) else value.map(move)
    if isinstance(moved, Value) and isinstance(moved.term.op, Routing):
        return _gates_of(at, moved, first).map(back)
    if moved.shape[1] != 1:
        raise Refusal(_BY_IMAGE)
    if isinstance(moved, torch.Tensor):
        return back(moved[:, 0])
    return _among(at, moved.map(lambda ids: ids[:, 0]), first).map(back)


def _check(shape: tuple[int, ...], places: dict[int, Picked]) -> None:
    """Refuse all but one search of all tokens, on neighbouring axes."""
    axes, found = list(places), list(places.values())
    together = axes == list(range(axes[0], axes[-1] + 1))
    one = len({item.choice for item in found}) == 1
    alone = all(item.role != FIRST or shape[axis] == 1 for axis, item in places.items())
    tokens = [shape[axis] for axis, item in places.items() if item.role == TOKEN]
    if not (together and one and alone and tokens == [found[0].logits.shape[0]]):
        raise Refusal(_BY_IMAGE)


def _tokens_first(tensor: torch.Tensor, roles: dict[int, str]) -> torch.Tensor:
    """[token, choice or 1, ...]: the axes that are searched first."""
    order = sorted(roles, key=lambda axis: (TOKEN, SLOT, FIRST).index(roles[axis]))
    rest = [axis for axis in range(tensor.dim()) if axis not in roles]
    moved = tensor.permute(*order, *rest)
    choices = moved.shape[1] if SLOT in roles.values() else 1
    return moved.reshape(len(moved), choices, *(tensor.shape[axis] for axis in rest))


def _among(at: CallSite, value: Value, first: Picked) -> Value:
    """Tokens [T, ...] as those of an expert."""
    term = at.settle(value)
    if term.shape[0] != len(value.ids):
        raise Refusal(_BY_IMAGE)
    op = Among(first.k, first.expert, first.slot)
    among = at.terms.cached(
        ("among", term, first.choice),
        lambda: at.terms.make(op, (term, first.logits), term.name, at.call.source),
    )
    return at.terms.value(among, value.shape)


def _gates_of(at: CallSite, value: Value, first: Picked) -> Value:
    """The gates [T, slots, ...] of a choice as an expert's [T, ...]."""
    op, term = value.term.op, value.term
    mine = term.inputs[0] is first.logits
    if isinstance(op, Gates | Mask) and mine and value.shape[1] == 1:
        return value.map(lambda ids: ids[:, 0])
    if not (mine and isinstance(op, Best) and op.k == first.k and value.offset is None):
        raise Refusal(_BY_IMAGE)
    tokens, experts = first.logits.shape
    across = value.ids.reshape(tokens, value.shape[1], -1)
    slots = across % op.k
    if not torch.equal(across // op.k, torch.arange(tokens)[:, None, None].expand_as(across)):
        raise Refusal("the chosen gates are not all of them, in order")
    rest = value.shape[2:]
    if (
        first.slot is None
        and value.shape[1] == op.k
        and torch.equal(slots, torch.arange(op.k)[:, None].expand_as(slots))
    ):
        dense = made(at.terms, Gates(op.k, op.convention), first.logits, first.logits.shape, at.call.source)
        ids = torch.arange(tokens) * experts + first.expert
    elif value.shape[1] == 1 and first.slot is not None and bool((slots == first.slot).all()):
        kind = Gates(1, op.convention) if op.k == 1 else Mask(op.k, op.convention)
        sizes = first.logits.shape if op.k == 1 else (tokens, op.k, experts)
        dense = made(at.terms, kind, first.logits, sizes, at.call.source)
        ids = (torch.arange(tokens) * op.k + first.slot) * experts + first.expert
    else:
        raise Refusal("the chosen gates are not all of them, in order")
    many = ids.reshape(tokens, *[1] * len(rest)).expand(tokens, *rest)
    return Value(dense, many, value.factor())


def everywhere(at: CallSite, value: Value, where: Picked) -> Value:
    """What an expert gives for its tokens, times its gates, as if all tokens were its own.

    Results without a gate have the gate 1: a gate may still follow.
    """
    op, slot = value.term.op, None if where.k == 1 else where.slot
    if not isinstance(op, Gated):
        kind = Gates(where.k, "one") if slot is None else Mask(where.k, "one")
        tokens, experts = where.logits.shape
        sizes = (tokens, experts) if slot is None else (tokens, where.k, experts)
        dense = made(at.terms, kind, where.logits, sizes, at.call.source)
        term = gated(at, _again(at, value.term, where), dense, where.expert, slot)
        return replace(value, term=term)
    gates = value.term.inputs[1]
    if not isinstance(gates.op, Gates | Mask) or (gates.op.k, op.expert, op.slot, gates.inputs[0]) != (
        where.k,
        where.expert,
        slot,
        where.logits,
    ):
        raise Refusal("an expert's results are multiplied by the gates of another")
    return replace(value, term=_again(at, value.term, where))


def _again(at: CallSite, term: Term, where: Picked) -> Term:
    """The term on all tokens."""
    op = term.op
    if isinstance(op, Among):
        if (op.k, op.expert, op.slot, term.inputs[1]) != (where.k, where.expert, where.slot, where.logits):
            raise Refusal("results are added to the tokens of another expert")
        return term.inputs[0]
    if isinstance(op, Gated):
        return gated(at, _again(at, term.inputs[0], where), term.inputs[1], op.expert, op.slot)
    if not isinstance(op, Linear | Activation):
        raise Refusal("an expert's results are added without its gate, or for all tokens")
    return at.terms.make(op, (_again(at, term.inputs[0], where), *term.inputs[1:]), term.name, term.source)


def apart(total: Any, mine: Term) -> bool:
    """Whether a sum has nothing yet at the tokens of a gated expert: each has one expert, another one."""
    if isinstance(total, torch.Tensor):
        return not bool(total.any())
    return total.offset is None and _of_others(total.term, mine)


def _of_others(term: Term, mine: Term) -> bool:
    if isinstance(term.op, Add):
        return all(_of_others(part, mine) for part in term.inputs)
    if not isinstance(term.op, Gated) or not isinstance(mine.op, Gated):
        return False
    dense, wanted = term.inputs[1], mine.inputs[1]
    alone = all(isinstance(one.op, Gates) and one.op.k == 1 for one in (dense, wanted))
    return alone and dense.inputs == wanted.inputs and term.op.expert != mine.op.expert
