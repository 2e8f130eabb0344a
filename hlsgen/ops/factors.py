# SPDX-License-Identifier: Apache-2.0
"""Which inputs of products are operand rows by head, and which lie where the array takes its factors."""

from __future__ import annotations

from hlsgen.ir import Op
from hlsgen.ops.context import Context
from hlsgen.ops.grouped_linear import GroupedLinear
from hlsgen.ops.matmul import Matmul
from hlsgen.ops.mixed_scores import MixedScores
from hlsgen.ops.scores import Scores
from hlsgen.ops.transpose import Transpose


def is_factor(op: Op, index: int) -> bool:
    """Whether input `index` is what the array multiplies operand rows by: keys, values."""
    match op:
        case Scores() | Context() | Matmul():
            return index == 1
        case Transpose():
            return index == 0
        case _:
            return False


def is_left(op: Op, index: int) -> bool:
    """Whether input `index` are operand rows, a part of them for each head."""
    return isinstance(op, Scores | MixedScores | Matmul | GroupedLinear) and index == 0
