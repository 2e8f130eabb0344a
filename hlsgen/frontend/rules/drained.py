# SPDX-License-Identifier: Apache-2.0
"""Gives every output a producer that the machine can drain: a linear layer, or an addition.

The machine writes to the output what a linear layer's command drains. A result of another op becomes an
output by one more layer:

- a linear layer that nothing else reads, and a sum of such ones, stay as they are;
- a linear layer that is read inside as well is computed once more, for the output;
- a norm, an activation, attention, a mean, a product and a transpose pass through a linear layer with the
  identity as its weight;
- the residual stream is added to the result of a linear layer of zeros, which reads its norm: an exact copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hlsgen.frontend.read.places import identifier
from hlsgen.frontend.rules.canonical import kind, order
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Unknown, is_head_sum
from hlsgen.ir import View
from hlsgen.ops import Add, LayerNorm, Linear
from hlsgen.ops.kinds import FloatOp, Part
from hlsgen.ops.norm import Norm

_FEATURES = (Part.NORM, Part.ACTIVATION, Part.ATTENTION, Part.MEAN, Part.PRODUCT, Part.TRANSPOSED)
EPSILON = 1e-6
"""Of a norm that only a copy reads: its value does not matter."""


@dataclass(frozen=True)
class Leaf:
    """An output: its name, which is empty where it is the only one, and the term that has its value.

    view: how the model orders its elements; None: as the term.
    """

    name: str
    term: Term
    view: View | None = None


def inside(term: Term) -> Refusal:
    """The refusal of an output that no command can write."""
    return Refusal(
        f"an output must be a tensor of tokens, not {kind(term)}",
        why="attention weights and routings stay inside the array: no command writes them to memory",
    )


class Drained:
    """Makes producers; `leaves` are all outputs of the model."""

    def __init__(self, terms: Terms, leaves: Sequence[Leaf]) -> None:
        self._terms = terms
        self._live = order(*(leaf.term for leaf in leaves))
        self._read = {before for term in self._live for before in term.inputs}
        self._made: dict[Term, Term] = {}

    def producer(self, leaf: Leaf) -> Term:
        """The term that the machine drains for a leaf; raises `Refusal`. Equal leaves have one."""
        if leaf.term not in self._made:
            self._made[leaf.term] = self._producer(leaf)
        return self._made[leaf.term]

    def _producer(self, leaf: Leaf) -> Term:
        term, op = leaf.term, leaf.term.op
        if isinstance(op, Unknown):
            return term
        name = identifier(leaf.name) if leaf.name else "output"
        if term not in self._read and (isinstance(op, Linear | Add) or is_head_sum(term)):
            return term
        if isinstance(op, Linear):
            return self._terms.make(op, term.inputs, name, term.source)
        part = op.part if isinstance(op, FloatOp) else None
        if part in (Part.STREAM, Part.SELECTED):
            return self._copy(term, name)
        if part in _FEATURES:
            return self._identity(term, name)
        raise inside(term)

    def _identity(self, term: Term, name: str) -> Term:
        width = term.shape[-1]
        layer = Linear(weight=np.eye(width, dtype=np.float32), bias=np.zeros(width, np.float32))
        return self._terms.make(layer, (term,), name, term.source)

    def _copy(self, term: Term, name: str) -> Term:
        """The stream plus zero: an addition keeps its 16 bits, which no layer could read."""
        width = term.shape[-1]
        zeros = Linear(weight=np.zeros((width, width), np.float32), bias=np.zeros(width, np.float32))
        made, source = self._terms.make, term.source
        nothing = made(zeros, (self._norm(term, name),), f"{name}_zeros", source)
        return made(Add(), (term, nothing), name, source)

    def _norm(self, term: Term, name: str) -> Term:
        """A norm that reads the stream there, else one like the model's others: hardware that is there."""
        norms = [other for other in self._live if isinstance(other.op, Norm)]
        for other in norms:
            if other.inputs == (term,):
                return other
        like: type[Norm] = next(
            (type(op) for op in (other.op for other in norms) if isinstance(op, Norm)), LayerNorm
        )
        width = term.shape[-1]
        op = like(gamma=np.ones(width, np.float32), beta=np.zeros(width, np.float32), eps=EPSILON)
        return self._terms.make(op, (term,), f"{name}_norm", term.source)
