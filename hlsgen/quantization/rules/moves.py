# SPDX-License-Identifier: Apache-2.0
"""Ops that only move values: they stay as they are."""

from __future__ import annotations

from hlsgen.ir import Op
from hlsgen.ops import Choose, Gather, Patches, Select, Transpose
from hlsgen.ops.kinds import FloatOp
from hlsgen.quantization.rules.rule import Rule, Site, rule


@rule(Choose, Gather, Patches, Select, Transpose)
class MovesRule(Rule[FloatOp]):
    """The input's scale, and the same op."""

    def scale(self, op: FloatOp, site: Site) -> float:
        del op
        return site.sources[0]

    def integer(self, op: FloatOp, site: Site) -> Op:
        del site
        return op
