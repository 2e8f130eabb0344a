# SPDX-License-Identifier: Apache-2.0
"""The architecture that was understood: patches, tokens, attention, MLP, pooling, outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hlsgen.frontend.rules.terms import Term
from hlsgen.ops import Activation, AddConstant, Mean, MixedScores, Patches, Route, Scores, Select
from hlsgen.ops.norm import Norm
from hlsgen.ops.score_bias import described


def outline(terms: Sequence[Term], outputs: Sequence[Term]) -> dict[str, str]:
    """What the terms of a model tell of it, part by part; empty where nothing was understood."""
    found = {
        "image": _each(_image(term) for term in terms if isinstance(term.op, Patches)),
        "tokens": _each(f"{_by(term.shape)}" for term in terms if isinstance(term.op, AddConstant)),
        "attention": _attention([term for term in terms if isinstance(term.op, Scores | MixedScores)]),
        "masks": _masks([term.op for term in terms if isinstance(term.op, Scores | MixedScores)]),
        "norms": _counted([term for term in terms if isinstance(term.op, Norm)]),
        "MLP": _each(
            f"{term.shape[-1]} channels, {term.op.function}"
            for term in terms
            if isinstance(term.op, Activation)
        ),
        "experts": _each(f"the best {term.op.k}" for term in terms if isinstance(term.op, Route)),
        "pooling": _each(_pool(term) for term in terms if isinstance(term.op, Mean | Select)),
        "outputs": ", ".join(_by(term.shape) for term in outputs),
    }
    return {part: text for part, text in found.items() if text}


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _each(texts: Iterable[str]) -> str:
    """Different texts, each once."""
    return "; ".join(dict.fromkeys(texts))


def _image(term: Term) -> str:
    assert isinstance(term.op, Patches)
    patch = _by(term.op.patch)
    return f"{_by(term.inputs[0].shape)} in patches of {patch}: {term.shape[0] - term.op.prefix}"


def _attention(layers: Sequence[Term]) -> str:
    """How many layers, and the heads of each."""
    heads = _each(text for term in layers if (text := _heads(term)))
    return f"{len(layers)} {'layer' if len(layers) == 1 else 'layers'}, {heads}" if layers else ""


def _heads(term: Term) -> str:
    """The heads of a layer and their channels, or the maps that its heads are mixed from."""
    match term.op:
        case Scores(heads=heads) if term.inputs:
            return f"{heads} heads of {term.inputs[0].shape[-1] // heads} channels"
        case MixedScores(matrix=matrix):
            return f"{matrix.shape[0]} heads mixed from {matrix.shape[1]}"
        case _:
            return ""


def _masks(layers: Sequence[Scores | MixedScores]) -> str:
    """What is hidden from queries or added to scores, and in how many layers."""
    found = Counter(described(op.bias) for op in layers if op.bias is not None)
    return "; ".join(f"{text}, in {count} of {len(layers)} layers" for text, count in found.items())


def _counted(norms: Sequence[Term]) -> str:
    kinds = Counter(type(term.op) for term in norms)
    return ", ".join(f"{count} {kind.__name__}" for kind, count in kinds.items())


def _pool(term: Term) -> str:
    if isinstance(term.op, Select):
        last = term.op.stop - 1
        return f"token {term.op.start}" if last == term.op.start else f"tokens {term.op.start} to {last}"
    return f"mean of {term.inputs[0].shape[0]} tokens"
