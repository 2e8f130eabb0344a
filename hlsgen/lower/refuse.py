# SPDX-License-Identifier: Apache-2.0
"""The error of a step that no command computes."""

from __future__ import annotations

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Node


def must_be(node: Node, what: str) -> UnsupportedModel:
    """A step was made of a node that is not `what` its command computes."""
    text = f"{node.name} must be {what}, not {type(node.op).__name__}"
    return UnsupportedModel(
        Problem(text, why="its command computes nothing else", where=str(node.source)), code=Code.LOWERING
    )
