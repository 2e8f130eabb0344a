# SPDX-License-Identifier: Apache-2.0
"""What stands where it can't: its name, why it can't, and what to do."""

from __future__ import annotations

from hlsgen.frontend.rules.terms import Term
from hlsgen.ops import Combine, MixedScores, Scores, Softmax
from hlsgen.ops.kinds import TOKENS, FloatOp, Part

_ATTENTION = (
    "scores or weights used elsewhere",
    "attention scores and their softmax never leave the machine",
    "use scaled_dot_product_attention, and nothing but its result",
)
_MIXTURE = (
    "parts of a mixture used elsewhere",
    "routers, gates and experts work together: a mixture is added to the residual stream as a whole",
    "use hlsgen.nn.MoE on a norm's result, and add what it gives: x + moe(norm(x))",
)
_PATCHES = (
    "patches without an embedding",
    "the image's patches are read by linear layers only",
    "begin with a convolution whose stride is its kernel",
)
_PLACES = {
    Part.PATCHES: _PATCHES,
    Part.SCORES: _ATTENTION,
    Part.SOFTMAX: _ATTENTION,
    Part.EXPERTS: _MIXTURE,
    Part.MIXTURE: _MIXTURE,
    Part.ROUTING: _MIXTURE,
    Part.CHOICE: _MIXTURE,
}
"""By the part that is read in the wrong place; all other parts are rows of tokens, which any op reads."""
_NUMBERS = (
    "numbers of a layer",
    "the machine's integers have no form for them",
    "use numbers that are finite and positive where the operator says so",
)
_SCALE = (
    "attention scale",
    "scores are multiplied by one positive number",
    "divide the scores by the square root of a head's channels",
)


def placed(term: Term) -> tuple[str, str, str]:
    """The name of a term that is misplaced or has numbers that can't be, why, and what to do."""
    parts = [_part(before) for before in term.inputs]
    wrong = [part for part in parts if part is not None and part not in TOKENS and part in _PLACES]
    reads = {part for read in _reads(term) for part in read}
    for part in wrong:
        if part not in reads:
            return _PLACES[part]
    if isinstance(term.op, Combine) or _part(term) in (Part.EXPERTS, Part.ROUTING):
        return _MIXTURE
    if isinstance(term.op, Scores | MixedScores | Softmax):
        return _SCALE
    return _PATCHES if None in parts else _NUMBERS


def _part(term: Term) -> Part | None:
    return term.op.part if isinstance(term.op, FloatOp) else None


def _reads(term: Term) -> list[tuple[Part, ...]]:
    """The parts that each input may be."""
    op = term.op
    return [read.parts for read in op.reading(len(term.inputs))] if isinstance(op, FloatOp) else []
