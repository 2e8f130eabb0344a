# SPDX-License-Identifier: Apache-2.0
"""What a router's choice is made of, in any spelling: chosen gates, masks, dense gates, gated experts.

All of them are terms that live only inside the front end: in the end a sum of gated experts is a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Value
from hlsgen.frontend.rules.tokens import of_input, owners
from hlsgen.ir import Op, Source, TensorType
from hlsgen.ops import Activation, Linear
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part

THREE_WAYS = (
    "for a loop over experts: use hlsgen.nn.MoE; or register your module with hlsgen.nn.register; "
    "or run every expert on every token, times a gate that is zero where it was not chosen: topk of the "
    "router's softmax, scatter into zeros, the sum of gate times expert"
)
"""What to write in place of a mixture that is not read."""
SMALLEST = 1e-9
"""What is added to a sum of gates against a division by zero; it is nothing beside gates."""


class Routing(Op):
    """A part of a choice among experts. Its only input are the router's logits [T, E]."""


@dataclass(frozen=True)
class Chance(Routing):
    """[T, E]: the softmax over all experts."""


@dataclass(frozen=True)
class Best(Routing):
    """[T, k]: the gates of the chosen by a convention; `logits`: what was chosen, not a gate yet."""

    k: int
    convention: str


@dataclass(frozen=True)
class Index(Routing):
    """[T, k]: the experts that are chosen."""

    k: int


@dataclass(frozen=True)
class Mask(Routing):
    """[T, k, E]: the gates at the chosen experts, zero elsewhere; convention `one`: ones."""

    k: int
    convention: str


@dataclass(frozen=True)
class Gates(Routing):
    """[T, E]: the gates, zero where an expert was not chosen; convention `one`: ones."""

    k: int
    convention: str


@dataclass(frozen=True)
class Total(Routing):
    """[T, 1]: the sum of a token's gates."""

    k: int
    convention: str


class Among(FloatOp):
    """The tokens [T, N] of an expert: as if all were, its results are gated in the end.

    Inputs are the tokens and the logits.
    """

    part: ClassVar[Part] = Part.ROUTING
    title: ClassVar[str] = "the tokens of an expert"
    reads: ClassVar[tuple[Input, ...]] = (Input(None), Input(None))
    gives: ClassVar[tuple[Kind, ...]] = ()

    def __init__(self, k: int, expert: int) -> None:
        """The choice, and whose tokens they are."""
        self.k, self.expert = k, expert

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]


@dataclass(frozen=True)
class Picked:
    """Where an expert was chosen: the tokens, or which of their choices it was."""

    logits: Term
    k: int
    expert: int
    tokens: bool


class Gated(FloatOp):
    """An expert's results [T, N] times its gate: inputs are the expert and the dense gates."""

    part: ClassVar[Part] = Part.MIXTURE
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE), Input(None))
    gives: ClassVar[tuple[Kind, ...]] = ()

    def __init__(self, expert: int) -> None:
        """Which column of the gates it is."""
        self.expert = expert

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]


RENORMALISED = {"softmax_all": "renormalised", "softmax_topk": "softmax_topk", "renormalised": "renormalised"}
"""Convention -> that of the gates over their sum."""


def made(terms: Terms, op: Routing, logits: Term, shape: tuple[int, ...], source: Source) -> Term:
    """A part of a routing, the same for equal requests."""
    key = ("routing", repr(op), type(op).__name__, logits)
    return terms.cached(key, lambda: terms.new(op, (logits,), "routing", source, TensorType(shape)))


def whole(value: Value) -> bool:
    """Whether a value is its term as it is, without a constant but a positive factor."""
    inside = torch.equal(value.ids.flatten(), torch.arange(value.term.size))
    return inside and value.offset is None and value.factor() > 0


def logits_of(value: Value) -> tuple[Term, str] | None:
    """The router's logits [T, E] and what was made of them: `logits`, `softmax_all` or `sigmoid`."""
    op, term = value.term.op, value.term
    if len(term.shape) != 2 or value.shape[-1] != term.shape[-1] or not whole(value):
        return None
    if isinstance(op, Chance):
        return term.inputs[0], "softmax_all"
    if isinstance(op, Activation) and op.function == "sigmoid" and isinstance(term.inputs[0].op, Linear):
        return term.inputs[0], "sigmoid"
    return (term, "logits") if isinstance(op, Linear) and not term.is_embedding else None


def chosen(at: CallSite, value: Value, k: int) -> tuple[Value, Value]:
    """Gates and indices [..., k] of the k best; raises `Refusal`."""
    found = logits_of(value)
    if found is None or (found[1] != "softmax_all" and value.factor() != 1.0):
        raise Refusal(
            "the largest elements are chosen of what is no router's result",
            why="the machine chooses experts by a linear layer's logits, their softmax or sigmoid",
            fix=THREE_WAYS,
        )
    logits, convention = found
    shape = (logits.shape[0], k)
    gates = made(at.terms, Best(k, convention), logits, shape, at.call.source)
    index = made(at.terms, Index(k), logits, shape, at.call.source)
    result = (*value.shape[:-1], k)
    return at.terms.value(gates, result).scaled(value.factor()), at.terms.value(index, result)


def other(at: CallSite, value: Value, convention: str) -> Value:
    """Gates by another convention."""
    op = value.term.op
    if not isinstance(op, Best | Gates):
        raise Refusal("gates are needed here")
    new = made(at.terms, type(op)(op.k, convention), value.term.inputs[0], value.term.shape, at.call.source)
    return Value(new, value.ids)


def over_total(at: CallSite, gates: Any, total: Any) -> Value | None:
    """Gates divided by their sum; None where it is something else."""
    if not (isinstance(gates, Value) and isinstance(total, Value) and isinstance(total.term.op, Total)):
        return None
    op, of = gates.term.op, total.term.op
    small = total.offset is None or bool((total.offset.abs() <= SMALLEST).all())
    rows = total.expand(gates.shape).ids if total.shape[-1] == 1 else None
    if not isinstance(op, Best | Gates) or rows is None or not small:
        return None
    same = gates.term.inputs == total.term.inputs and (op.k, op.convention) == (of.k, of.convention)
    if not same or not torch.equal(gates.ids // gates.term.shape[-1], rows) or gates.offset is not None:
        return None
    if op.convention not in RENORMALISED:
        raise Refusal(
            f"gates by {op.convention} are divided by their sum",
            why="the machine's conventions are softmax_all, renormalised, softmax_topk and sigmoid",
            fix="take the softmax over the chosen logits, or leave out the division",
        )
    return other(at, gates, RENORMALISED[op.convention]).scaled(gates.factor() / total.factor())


def summed(at: CallSite, value: Value, axis: int, *, keepdim: bool) -> Value:
    """The sum of gates or masks over one axis; raises `Refusal`."""
    op, term, logits = value.term.op, value.term, value.term.inputs[0]
    experts, moved = logits.shape[-1], value.ids.movedim(axis, -1)
    first, count = moved[..., 0], moved.shape[-1]
    what, ids = None, first
    if count == 1:
        return value if keepdim else value.map(lambda part: part.select(axis, 0))
    if isinstance(op, Best | Gates) and count == term.shape[-1]:
        if torch.equal(moved, first[..., None] + torch.arange(count)) and bool((first % count == 0).all()):
            what = made(at.terms, Total(op.k, op.convention), logits, (term.shape[0], 1), at.call.source)
            ids = first // count
    elif isinstance(op, Mask) and count == op.k:
        start = first // experts
        if torch.equal(moved, first[..., None] + experts * torch.arange(count)) and bool(
            (start % count == 0).all()
        ):
            what = made(at.terms, Gates(op.k, op.convention), logits, logits.shape, at.call.source)
            ids = start // count * experts + first % experts
    if what is None or value.offset is not None:
        raise Refusal("a part of a router's choice is added up", why="only all gates of a token can be")
    total = Value(what, ids, value.factor())
    return total.map(lambda part: part.unsqueeze(axis)) if keepdim else total


def compared(at: CallSite, index: Value, expert: Any) -> Value:
    """Ones where the chosen expert is `expert`."""
    op, logits = index.term.op, index.term.inputs[0]
    if not isinstance(op, Index) or isinstance(expert, Value):
        raise Refusal("two activations are compared", why="the machine has no place for it")
    experts = logits.shape[-1]
    numbers = torch.as_tensor(expert, dtype=torch.int64)
    shape = tuple(torch.broadcast_shapes(index.shape, tuple(numbers.shape)))
    wanted = numbers.expand(shape)
    if bool(((wanted < 0) | (wanted >= experts)).any()):
        raise Refusal(f"a chosen expert must be compared with 0..{experts - 1}")
    # A single choice needs no sum over the choices: its mask is dense.
    one = Gates(1, "one") if op.k == 1 else Mask(op.k, "one")
    sizes = logits.shape if op.k == 1 else (*index.term.shape, experts)
    mask = made(at.terms, one, logits, sizes, at.call.source)
    return Value(mask, index.expand(shape).ids * experts + wanted)


def product(at: CallSite, x: Value, y: Value) -> Value | None:
    """A mask times gates, or an expert times its gate; None where it is something else."""
    shape = tuple(torch.broadcast_shapes(x.shape, y.shape))
    for left, right in ((x, y), (y, x)):
        found = _masked(at, left.expand(shape), right.expand(shape))
        if found is None and isinstance(right.term.op, Gates) and not isinstance(left.term.op, Routing):
            found = _gated(at, left.expand(shape), right.expand(shape))
        if found is not None:
            return found
    return None


def _masked(at: CallSite, mask: Value, gates: Value) -> Value | None:
    """Ones at the chosen experts, times their gates."""
    op, by = mask.term.op, gates.term.op
    if not isinstance(op, Mask | Gates) or op.convention != "one" or mask.offset is not None:
        return None
    if mask.term.inputs[0] not in (gates.term, *gates.term.inputs) or gates.offset is not None:
        return None
    experts, convention = mask.term.shape[-1], ""
    if isinstance(by, Best) and by.k == op.k and (isinstance(op, Mask) or op.k == 1):
        convention = by.convention if torch.equal(mask.ids // experts, gates.ids) else ""
    elif isinstance(op, Gates) and torch.equal(mask.ids, gates.ids):
        found = logits_of(at.terms.value(gates.term))
        convention = found[1] if found is not None else ""
    if convention in ("", "logits", "one"):
        return None
    new = made(at.terms, type(op)(op.k, convention), mask.term.inputs[0], mask.term.shape, at.call.source)
    return Value(new, mask.ids, mask.factor() * gates.factor())


def _gated(at: CallSite, value: Value, gates: Value) -> Value:
    """An expert's results, or those of several side by side, times the gates; raises `Refusal`."""
    if value.offset is not None or gates.offset is not None or bool((value.ids < 0).any()):
        raise Refusal("a constant beside an expert is multiplied by its gate")
    joined = isinstance(value.term.op, Join)
    owner = owners(value) if joined else torch.zeros(value.shape, dtype=torch.int64)
    terms = list(value.term.inputs) if joined else [value.term]
    for index in owner.unique().tolist():
        inside = owner == index
        part = of_input(value, index) if joined else value
        terms[index] = _one(at, terms[index], part.ids[inside], gates.ids[inside], gates.term)
    term = at.terms.join(tuple(terms), value.term.source) if joined else terms[0]
    return Value(term, value.ids, value.scale).scaled(gates.factor())


def _one(at: CallSite, term: Term, ids: torch.Tensor, gates: torch.Tensor, dense: Term) -> Term:
    experts = dense.shape[-1]
    expert = int(gates[0]) % experts
    rows = torch.equal(ids // term.shape[-1], gates // experts)
    if not rows or not bool((gates % experts == expert).all()):
        raise Refusal(
            "results are multiplied by gates of other tokens or experts",
            why="a mixture adds up each expert's result times that expert's gate, token by token",
        )
    key = ("gated", term, dense, expert)
    return at.terms.cached(key, lambda: at.terms.make(Gated(expert), (term, dense), term.name, term.source))


def picked(mask: Value) -> tuple[Picked, Picked]:
    """The tokens and the choices at which a mask of one expert has ones; raises `Refusal`."""
    op, term = mask.term.op, mask.term
    experts = term.inputs[0].shape[-1]
    if isinstance(op, Mask | Gates) and op.convention == "one" and mask.offset is None:
        expert = int(mask.ids.flatten()[0]) % experts
        count = term.shape[0] * op.k
        if torch.equal(mask.ids.flatten(), torch.arange(count) * experts + expert) and len(mask.shape) == 2:
            logits = term.inputs[0]
            return Picked(logits, op.k, expert, True), Picked(logits, op.k, expert, False)
    raise Refusal(
        "positions are searched by what the image holds",
        why="hardware runs one fixed program for every image",
        fix=THREE_WAYS,
    )


def at_picked(at: CallSite, value: Value, indices: list[Any]) -> Value:
    """An expert's tokens, or its gates for them; raises `Refusal`."""
    where = [item for item in indices if item is not None]
    first = where[0]
    if len(where) == 1 and first.tokens and len(value.shape) == 2:
        term = at.settle(value)
        key = ("among", term, first)
        among = at.terms.cached(
            key,
            lambda: at.terms.make(
                Among(first.k, first.expert), (term, first.logits), term.name, at.call.source
            ),
        )
        return at.terms.value(among, value.shape)
    op = value.term.op
    same = len(where) == 2 and first.tokens and where[1] == replace(first, tokens=False)
    if not (same and isinstance(op, Best) and op.k == first.k and value.term.inputs[0] is first.logits):
        raise Refusal("elements are chosen by what the image holds")
    if not whole(value) or value.shape[:2] != value.term.shape:
        raise Refusal("the chosen gates are not all of them, in order")
    tokens, experts = first.logits.shape
    dense = made(at.terms, Gates(op.k, op.convention), first.logits, first.logits.shape, at.call.source)
    ids = torch.arange(tokens) * experts + first.expert
    return Value(dense, ids.reshape(tokens, *value.shape[2:]), value.factor())


def everywhere(at: CallSite, value: Value, where: Picked) -> Value:
    """What an expert gives for its tokens, times its gates, as if all tokens were its own."""

    def again(term: Term) -> Term:
        op = term.op
        if isinstance(op, Among):
            if (op.k, op.expert, term.inputs[1]) != (where.k, where.expert, where.logits):
                raise Refusal("results are added to the tokens of another expert")
            return term.inputs[0]
        if not isinstance(op, Linear | Activation | Gated):
            raise Refusal("an expert's results are added without its gate, or for all tokens")
        return at.terms.make(op, (again(term.inputs[0]), *term.inputs[1:]), term.name, term.source)

    op = value.term.op
    gates = value.term.inputs[1].op if isinstance(op, Gated) else None
    if not isinstance(op, Gated) or not isinstance(gates, Gates):
        raise Refusal("an expert's results are added without its gate")
    if (gates.k, op.expert, value.term.inputs[1].inputs[0]) != (where.k, where.expert, where.logits):
        raise Refusal("an expert's results are multiplied by the gates of another")
    return replace(value, term=again(value.term))
