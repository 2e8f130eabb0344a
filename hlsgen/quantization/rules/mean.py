# SPDX-License-Identifier: Apache-2.0
"""Means over tokens: a sum and a shift, whose scale follows from the input's."""

from __future__ import annotations

import math

from hlsgen.ops import IntegerMean, Mean
from hlsgen.ops.kinds import Kind
from hlsgen.quantization.rules.rule import INT16, Rule, Site, rule


@rule(Mean)
class MeanRule(Rule[Mean]):
    """Results of 8 bits before linear layers, of 16 before norms."""

    def scale(self, op: Mean, site: Site) -> float:
        """What a shift makes of the input's scale."""
        del op
        name, (source,) = site.node.name, site.sources
        if site.kind is Kind.NARROW:
            wanted = site.model.observed(name, site.levels, site.config.activations)
        else:
            wanted = site.model.largest(name) * site.config.residual_headroom / INT16
            wanted = max(wanted, site.model.floor(name))
        steps = math.log2(wanted * site.tokens / source) if wanted else 0.0
        # The slack keeps a scale that already fits from being doubled by a rounding error.
        return source * 2.0 ** max(0, math.ceil(steps - 1e-9)) / site.tokens

    def integer(self, op: Mean, site: Site) -> IntegerMean:
        del op
        shift = round(math.log2(site.scale * site.tokens / site.sources[0]))
        low, high = site.range if site.kind is Kind.NARROW else (-(1 << 15), (1 << 15) - 1)
        return IntegerMean(shift=shift, low=low, high=high)

    def input_floor(self, op: Mean, site: Site) -> float:
        """Bounds the shift: log2 of the tokens then lifts the mean's scale to its own floor."""
        del op
        return site.model.floor(site.node.name)

    def fitted(self, op: Mean, site: Site, scale: float) -> float:
        """Widen `scale`, by less than 2, until the shift gives the int8 scale that the observer chose.

        The mean has only a shift; one bit less of 16 costs nothing beside the bit it saves of 8.
        """
        del op
        if site.kind is not Kind.NARROW:
            return scale
        wanted = site.model.observed(site.node.name, site.levels, site.config.activations) * site.tokens
        if wanted < scale:
            return scale
        return wanted * 2.0 ** -math.floor(math.log2(wanted / scale))
