# SPDX-License-Identifier: Apache-2.0
"""Additions on the residual stream, whose scale they share."""

from __future__ import annotations

import numpy as np

from hlsgen.ops import Add, AddConstant, IntegerAdd, IntegerAddConstant
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import Rule, Site, rule


@rule(Add)
class AddRule(Rule[Add]):
    """Saturated to 16 bits."""

    def integer(self, op: Add, site: Site) -> IntegerAdd:
        del op, site
        return IntegerAdd()


@rule(AddConstant)
class AddConstantRule(Rule[AddConstant]):
    """The constant in the stream's units."""

    def integer(self, op: AddConstant, site: Site) -> IntegerAddConstant:
        return IntegerAddConstant(value=nearest(op.value / site.scale))

    def reach(self, op: AddConstant) -> float:
        return float(np.abs(op.value).max(initial=0.0))
