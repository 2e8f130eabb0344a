# SPDX-License-Identifier: Apache-2.0
"""The shape a float Graph must have, and its emission in canonical order."""

from __future__ import annotations

from collections.abc import Sequence

from hlsgen.errors import Problem
from hlsgen.frontend.rules.placement import placed
from hlsgen.frontend.rules.terms import Term, Unknown, is_head_sum
from hlsgen.ir import Graph, GraphBuilder, View
from hlsgen.ops import Context
from hlsgen.ops.kinds import FloatOp, Part, either


def kind(term: Term) -> str:
    """What a term is, in words."""
    match term.op:
        case None:
            return "the image"
        case FloatOp() as op:
            return op.words()
        case _:
            return "what was refused before"


def order(*outputs: Term) -> list[Term]:
    """All terms that the outputs need: inputs first, queries, keys and values before scores."""
    done: dict[Term, None] = {}
    stack = list(reversed(outputs))
    while stack:
        term = stack[-1]
        missing = [need for need in _needs(term) if need not in done]
        if term in done:
            stack.pop()
        elif missing:
            stack.append(missing[0])
        else:
            done[stack.pop()] = None
    return list(done)


def _needs(term: Term) -> Sequence[Term]:
    if isinstance(term.op, Context):
        weights, value = term.inputs
        scores = weights.inputs[0] if weights.inputs else weights
        return (*scores.inputs, value, weights)
    return term.inputs


def check(*outputs: Term) -> list[Problem]:
    """Everything in the graph that the machine has no place for."""
    problems = []
    refused: set[Term] = set()
    heads = set().union(*map(_head_sums, outputs))
    for term in order(*outputs):
        if term in heads:
            continue
        if not isinstance(term.op, FloatOp):
            continue  # the image, and what was refused before
        what = _misplaced(term.op, term, refused) or term.op.unfit()
        if what:
            refused.add(term)
            name, why, fix = placed(term)
            problems.append(Problem(what, str(term.source), why, fix, name))
    return problems


def _head_sums(output: Term) -> set[Term]:
    """The additions that end a model with several heads: the output, and those that it adds up."""
    if not is_head_sum(output):
        return set()
    return {output}.union(*(_head_sums(part) for part in output.inputs))


def _misplaced(op: FloatOp, term: Term, refused: set[Term]) -> str:
    """Problems of a term's inputs. An input that has a problem itself raises no second one."""
    for read, before in zip(op.reading(len(term.inputs)), term.inputs, strict=True):
        if isinstance(before.op, Unknown) or before in refused or not read.parts:
            continue
        if isinstance(before.op, FloatOp) and before.op.part in read.parts:
            continue
        if op.misplaced:
            return op.misplaced.format(*map(kind, term.inputs))
        # Only the image's first layer reads patches.
        shown = [part for part in read.parts if part is not Part.PATCHES]
        return f"{read.name} must be {either(shown)}, not {kind(before)}"
    return ""


def emit(
    *outputs: Term,
    names: Sequence[str] = (),
    views: Sequence[View | None] = (),
    early: Sequence[Term] = (),
) -> Graph:
    """The verified Graph; its outputs task by task, `names`, `views`: see `Graph`.

    early: the outputs in another order, to which the nodes keep.
    """
    terms = order(*(early or outputs))
    image = next(term for term in terms if term.op is None)
    builder = GraphBuilder(image.name, image.type)
    known = {image: image.name}
    for term in terms:
        if term.op is not None:
            inputs = [known[before] for before in term.inputs]
            known[term] = builder.add(term.name, term.op, inputs, term.source)
    return builder.finish(*(known[output] for output in outputs), names=names, views=views)
