# SPDX-License-Identifier: Apache-2.0
"""The names of what has no place in the Graph although each op is known: one table."""

from __future__ import annotations

from collections.abc import Callable

from hlsgen.frontend.rules.terms import Term
from hlsgen.ops import Add, Linear, Mean, Scores, Softmax
from hlsgen.ops.kinds import FloatOp, Part
from hlsgen.ops.norm import Norm


def _reads(term: Term, part: Part) -> bool:
    return any(isinstance(before.op, FloatOp) and before.op.part is part for before in term.inputs)


def _normal(term: Term) -> bool:
    return any(isinstance(before.op, Norm) for before in term.inputs)


_TABLE: tuple[tuple[str, Callable[[Term], bool], str], ...] = (
    (
        "post-norm",
        lambda term: isinstance(term.op, Add) and _normal(term),
        "use pre-norm blocks: x = x + attention(norm(x)); x = x + mlp(norm(x))",
    ),
    (
        "norm of a branch",
        lambda term: isinstance(term.op, Norm) and _reads(term, Part.LINEAR),
        "norm the residual stream in front of the branch, not what a linear layer gives",
    ),
    (
        "sum of streams",
        lambda term: isinstance(term.op, Add),
        "add results of linear layers to one residual stream",
    ),
    (
        "layers without a norm between",
        lambda term: isinstance(term.op, Linear),
        "put a LayerNorm or an activation in front of it",
    ),
    (
        "attention scale",
        lambda term: isinstance(term.op, Scores | Softmax),
        "divide the scores by the square root of a head's channels",
    ),
    (
        "pooling of tokens",
        lambda term: isinstance(term.op, Mean),
        "average the tokens of the residual stream, or the last norm's result",
    ),
)


def placed(term: Term) -> tuple[str, str]:
    """The name of a misplaced term and what to do; the op's words where the table has none."""
    for name, shown_by, fix in _TABLE:
        if shown_by(term):
            return name, fix
    words = term.op.words() if isinstance(term.op, FloatOp) else "a layer"
    return f"place of {words}", "use pre-norm blocks: x = x + attention(norm(x)); x = x + mlp(norm(x))"
