# SPDX-License-Identifier: Apache-2.0
"""The shape a float Graph must have, and its emission in canonical order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hlsgen.errors import Problem
from hlsgen.frontend.rules.terms import Mixture, Term, Unknown, is_head_sum
from hlsgen.ir import Graph, GraphBuilder
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Choose,
    Combine,
    Context,
    ExpertLinear,
    LayerNorm,
    Linear,
    Mean,
    Patches,
    Route,
    Scores,
    Select,
    Softmax,
)

_KINDS = {
    Patches: "patches",
    AddConstant: "the residual stream",
    Add: "the residual stream",
    Combine: "the residual stream",
    Choose: "a choice by task",
    ExpertLinear: "a layer of experts",
    Mixture: "a mixture of experts",
    Route: "a routing",
    Activation: "an activation",
    Context: "attention",
    LayerNorm: "a layer norm",
    Linear: "a linear layer",
    Mean: "a mean over tokens",
    Scores: "attention scores",
    Select: "selected tokens",
    Softmax: "softmax",
}
_STREAM, _LINEAR, _NORM = _KINDS[Add], _KINDS[Linear], _KINDS[LayerNorm]
_INPUTS: dict[type, tuple[tuple[str, ...], ...]] = {
    LayerNorm: ((_STREAM, _KINDS[Select], _KINDS[Mean]),),
    Linear: ((_NORM, _KINDS[Context], _KINDS[Activation], _KINDS[Mean], _KINDS[Patches]),),
    Activation: ((_LINEAR, _KINDS[ExpertLinear]),),
    Combine: ((_STREAM,), (_KINDS[ExpertLinear],), (_KINDS[Route],)),
    ExpertLinear: ((_NORM, _KINDS[Activation]), (_KINDS[Route],)),
    Route: ((_LINEAR, _KINDS[Choose]),),
    Scores: ((_LINEAR,), (_LINEAR,)),
    Context: ((_KINDS[Softmax],), (_LINEAR,)),
    Add: ((_STREAM,), (_LINEAR,)),
    Mean: ((_NORM, _STREAM, _KINDS[Select]),),
    Select: ((_STREAM,),),
}
_NAMES = {
    LayerNorm: ("the input of a layer norm",),
    Linear: ("the input of a linear layer",),
    Activation: ("the input of an activation",),
    Scores: ("attention queries", "attention keys"),
    Context: ("attention weights", "attention values"),
    Mean: ("what is averaged",),
    Combine: ("what a mixture of experts is added to",),
    ExpertLinear: ("the input of experts",),
    Route: ("a router's input",),
    Select: ("selected tokens",),
}
_ADVICE: dict[type, tuple[str, str]] = {
    Add: (
        "the residual stream has 16 bits, and only results of linear layers are added to it",
        "use pre-norm blocks: x = x + attention(norm(x)); x = x + mlp(norm(x))",
    ),
    Linear: (
        "linear layers read 8-bit features; the residual stream has 16 bits",
        "put a LayerNorm in front of it",
    ),
    ExpertLinear: (
        "experts read 8-bit features; the residual stream has 16 bits",
        "put a LayerNorm in front of them",
    ),
    Combine: (
        "experts' results are added to the 16-bit residual stream",
        "use pre-norm blocks: x = x + moe(norm(x))",
    ),
    LayerNorm: ("layer norms read the 16-bit residual stream", "use pre-norm blocks"),
    Activation: ("activations are applied as a linear layer's results leave the machine", ""),
    Select: ("tokens are selected from the residual stream", ""),
    Mean: ("tokens are averaged from the residual stream or a layer norm", ""),
}


def kind(term: Term) -> str:
    """What a term is, in words."""
    return "the image" if term.op is None else _KINDS.get(type(term.op), type(term.op).__name__)


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
        what = _misplaced(term, refused) or _bad_scale(term)
        if what:
            refused.add(term)
            why, fix = _ADVICE.get(type(term.op), ("", ""))
            problems.append(Problem(what, where=str(term.source), why=why, fix=fix))
    problems += [
        Problem(
            f"the output must be the result of a linear layer, not {kind(output)}",
            where=str(output.source),
            why="the last command streams a linear layer's results out",
        )
        for output in dict.fromkeys(outputs)
        if not isinstance(output.op, Linear | Unknown) and output not in heads
    ]
    return problems


def _head_sums(output: Term) -> set[Term]:
    """The additions that end a model with several heads: the output, and those that it adds up."""
    if not is_head_sum(output):
        return set()
    return {output}.union(*(_head_sums(part) for part in output.inputs))


def _misplaced(term: Term, refused: set[Term]) -> str:
    """Problems of a term's inputs. An input that has a problem itself raises no second one."""
    allowed = _INPUTS.get(type(term.op), ())
    known = [not isinstance(before.op, Unknown) and before not in refused for before in term.inputs]
    wrong = [
        index
        for index, (kinds, before) in enumerate(zip(allowed, term.inputs, strict=False))
        if known[index] and kind(before) not in kinds
    ]
    if not wrong:
        return ""
    if isinstance(term.op, Add):
        first, second = map(kind, term.inputs)
        return f"an addition must join {_STREAM} and {_LINEAR}, not {first} and {second}"
    index = wrong[0]
    return f"{_NAMES[type(term.op)][index]} must be {_either(allowed[index])}, not {kind(term.inputs[index])}"


def _bad_scale(term: Term) -> str:
    if isinstance(term.op, Scores) and not (term.op.scale > 0 and math.isfinite(term.op.scale)):
        return f"the attention scale must be positive and finite, not {term.op.scale:g}"
    return ""


def _either(kinds: Sequence[str]) -> str:
    shown = [item for item in kinds if item != _KINDS[Patches]]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def emit(*outputs: Term) -> Graph:
    """The verified Graph; one output for each task."""
    terms = order(*outputs)
    image = next(term for term in terms if term.op is None)
    builder = GraphBuilder(image.name, image.type)
    names = {image: image.name}
    for term in terms:
        if term.op is not None:
            inputs = [names[before] for before in term.inputs]
            names[term] = builder.add(term.name, term.op, inputs, term.source)
    return builder.finish(*(names[output] for output in outputs))
