# SPDX-License-Identifier: Apache-2.0
"""Constants: nearest integers of 8 or 16 bits."""

from __future__ import annotations

import numpy as np

from hlsgen.ops import Constant, IntegerConstant
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import INT8, Rule, Site, rule


@rule(Constant)
class ConstantRule(Rule[Constant]):
    """Its own scale, or the stream's."""

    def scale(self, op: Constant, site: Site) -> float:
        del op
        return site.narrow() or 1.0 / INT8

    def integer(self, op: Constant, site: Site) -> IntegerConstant:
        low, high = site.range
        value = nearest(np.clip(op.value / site.scale, low, high))
        return IntegerConstant(value=value, low=low, high=high, scale=site.scale)

    def reach(self, op: Constant) -> float:
        return float(np.abs(op.value).max(initial=0.0))
