# SPDX-License-Identifier: Apache-2.0
"""What a router's choice is made of, in any spelling: chosen gates, masks, dense gates, gated experts.

All of them are terms that live only inside the front end: in the end a sum of gated experts is a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from hlsgen.frontend.rules.arrange import absorbed, of_input, owners
from hlsgen.frontend.rules.rule import CallSite
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Value
from hlsgen.ir import Op, Source, TensorType
from hlsgen.ops import Activation, Add, Linear
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
    """[T, k, E]: the gates at the chosen experts, zero elsewhere; convention `one`: ones.

    A slot is one of a token's k choices.
    """

    k: int
    convention: str


@dataclass(frozen=True)
class Gates(Routing):
    """[T, E]: the gates, zero where an expert was not chosen; convention `one`: ones.

    Convention `hidden`: the logits, minus infinity where an expert was not chosen.
    """

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

    def __init__(self, k: int, expert: int, slot: int | None) -> None:
        """The choice, whose tokens they are, and by which of their choices; None: by any."""
        self.k, self.expert, self.slot = k, expert, slot

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]


class Gated(FloatOp):
    """An expert's results [T, N] times its gate: inputs are the expert and the dense gates.

    `slot`: with the gates of one of the k choices only, a `Mask`.
    """

    part: ClassVar[Part] = Part.MIXTURE
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE), Input(None))
    gives: ClassVar[tuple[Kind, ...]] = ()

    def __init__(self, expert: int, slot: int | None = None) -> None:
        """Which column of the gates it is."""
        self.expert, self.slot = expert, slot

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]


SIGMOIDS_OVER_SUM = "sigmoids over their sum"
"""The softmax over the chosen of the logits' log-sigmoid: `gated.combined` makes it so."""
RENORMALISED = {
    "softmax_all": "renormalised",
    "softmax_topk": "softmax_topk",
    "renormalised": "renormalised",
    "sigmoid": SIGMOIDS_OVER_SUM,
    SIGMOIDS_OVER_SUM: SIGMOIDS_OVER_SUM,
}
"""Convention -> that of the gates over their sum."""
OF_HIDDEN = {"softmax": "softmax_topk", "sigmoid": "sigmoid"}
"""Function -> convention of gates that it makes of logits which are minus infinity but at the chosen."""


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
    offset = value.offset
    check_groups(value, k)
    found = logits_of(Value(value.term, value.ids, value.scale))
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
    best = at.terms.value(gates, result).scaled(value.factor()), at.terms.value(index, result)
    if offset is None:
        return best
    first = offset.flatten()[0]
    if bool((offset == first).all()):  # the same for all: no other order
        return best[0].plus(first), best[1]
    raise Refusal(
        "the experts are chosen by biased scores",
        why="the machine chooses the largest logits, and has no other order",
        fix="choose by the scores that the gates are made of; train with a loss that balances the experts",
        instead=best,
    )


def check_groups(value: Value, k: int | None = None) -> None:
    """Refuse the k best of each group of experts [T, groups, experts of a group], and what hides experts."""
    tokens, shape = value.term.shape[0], value.shape
    if value.ids.numel() != value.term.size or (k is not None and shape[-1] == value.term.shape[-1]):
        return
    found = logits_of(Value(value.term, value.ids.reshape(tokens, -1)))
    if found is None or (k is None and found[1] == "logits"):
        return
    best = (*shape[:-1], k or 1)
    raise Refusal(
        "the experts are chosen by groups of experts",
        instead=value if k is None else (torch.zeros(best), torch.arange(k).expand(best)),
    )


def other(at: CallSite, value: Value, convention: str) -> Value:
    """Gates by another convention."""
    op = value.term.op
    if not isinstance(op, Best | Gates):
        raise Refusal("gates are needed here")
    new = made(at.terms, type(op)(op.k, convention), value.term.inputs[0], value.term.shape, at.call.source)
    return Value(new, value.ids)


def of_hidden(at: CallSite, value: Value, function: str) -> Value:
    """Gates of logits that are minus infinity but at the chosen; raises `Refusal`."""
    op = value.term.op
    plain = isinstance(op, Gates) and op.convention == "hidden" and value.offset is None
    if not plain or value.factor() != 1.0 or function not in OF_HIDDEN:
        raise Refusal(
            "gates go through a function", why="the machine weighs each expert's result by its gate"
        )
    return other(at, value, OF_HIDDEN[function])


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
    if what is None:
        raise Refusal("a part of a router's choice is added up", why="only all gates of a token can be")
    total = Value(what, ids, value.factor())
    if value.offset is not None:
        total = total.plus(value.offset.expand(value.shape).movedim(axis, -1).sum(-1))
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
        if found is None and isinstance(right.term.op, Routing) and not isinstance(left.term.op, Routing):
            found = _late(at, left.expand(shape), right.expand(shape))
            if found is None and isinstance(right.term.op, Gates | Mask):
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
    if gates.offset is not None or bool((value.ids < 0).any()):
        raise Refusal("a constant beside an expert is multiplied by its gate")
    if value.offset is not None:
        value = absorbed(at.terms, value)  # the expert's own bias
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
    experts, slots = dense.shape[-1], dense.op.k if isinstance(dense.op, Mask) else 1
    first = int(gates[0]) % (slots * experts)
    rows = torch.equal(ids // term.shape[-1], gates // (slots * experts))
    if not rows or not bool((gates % (slots * experts) == first).all()):
        raise Refusal(
            "results are multiplied by gates of other tokens or experts",
            why="a mixture adds up each expert's result times that expert's gate, token by token",
        )
    slot, expert = divmod(first, experts) if isinstance(dense.op, Mask) else (None, first)
    return gated(at, term, dense, expert, slot)


def gated(at: CallSite, term: Term, dense: Term, expert: int, slot: int | None) -> Term:
    """An expert times its gate, the same for equal requests."""
    key = ("gated", term, dense, expert, slot)
    return at.terms.cached(
        key, lambda: at.terms.make(Gated(expert, slot), (term, dense), term.name, term.source)
    )


def _late(at: CallSite, value: Value, gates: Value) -> Value | None:
    """Experts that were chosen but not weighed yet, times the gates of that choice; None: something else."""
    by, owner = gates.term.op, value.term
    if not isinstance(by, Best) or gates.offset is not None or value.offset is not None:
        return None
    if isinstance(owner.op, Routing | Join) or not torch.equal(value.ids.flatten(), torch.arange(owner.size)):
        return None
    rows, width = gates.ids.flatten(), owner.shape[-1]
    slot = int(rows[0]) % by.k
    if not torch.equal(rows, torch.arange(owner.shape[0]).repeat_interleave(width) * by.k + slot):
        return None
    term = _weighed(at, owner, gates.term, None if by.k == 1 else slot)
    return None if term is None else Value(term, value.ids, value.scale).scaled(gates.factor())


def _weighed(at: CallSite, term: Term, gates: Term, slot: int | None) -> Term | None:
    """A sum of chosen experts, each with its gate; None where it is something else."""
    op, by = term.op, gates.op
    if isinstance(op, Add):
        parts = [_weighed(at, part, gates, slot) for part in term.inputs]
        return None if None in parts else at.terms.make(op, tuple(parts), term.name, term.source)  # type: ignore[arg-type]
    dense = term.inputs[1] if isinstance(op, Gated) else None
    if dense is None or not isinstance(op, Gated) or not isinstance(by, Best):
        return None
    kind = dense.op
    alike = isinstance(kind, Gates | Mask) and kind.convention == "one" and kind.k == by.k
    if not alike or dense.inputs != gates.inputs or op.slot != slot or by.convention == "logits":
        return None
    new = made(at.terms, type(kind)(by.k, by.convention), dense.inputs[0], dense.shape, term.source)  # type: ignore[arg-type]
    return gated(at, term.inputs[0], new, op.expert, slot)
