# SPDX-License-Identifier: Apache-2.0
"""Layers of experts: every expert as a linear layer."""

from __future__ import annotations

import numpy as np

from hlsgen.ops import ExpertLinear, IntegerExpertLinear, Linear
from hlsgen.quantization.rules.linear import linear, product_floor
from hlsgen.quantization.rules.rule import INT8, Rule, Site, rule


@rule(ExpertLinear)
class ExpertLinearRule(Rule[ExpertLinear]):
    """One scale for all experts' results."""

    weighted = True

    def scale(self, op: ExpertLinear, site: Site) -> float:
        return max(site.narrow(), self.floor(op, site)) or 1.0 / INT8

    def integer(self, op: ExpertLinear, site: Site) -> IntegerExpertLinear:
        """Every expert as `linear` makes it."""
        low, high = site.range
        layers = [
            linear(
                Linear(weight=weight, bias=bias),
                site.sources[0],
                site.scale,
                low,
                high,
                site.rounding(expert),
            )
            for expert, (weight, bias) in enumerate(zip(op.weight, op.bias, strict=True))
        ]
        fields = {
            name: np.stack([getattr(layer, name) for layer in layers])
            for name in ("weight", "bias", "multiplier", "shift")
        }
        return IntegerExpertLinear(
            **fields, low=low, high=high, scale=site.scale, weight_bits=layers[0].weight_bits
        )

    def floor(self, op: ExpertLinear, site: Site) -> float:
        return product_floor(op.weight, site)
