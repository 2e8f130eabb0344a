# SPDX-License-Identifier: Apache-2.0
"""All norms: the fold has taken gamma and beta."""

from __future__ import annotations

import math

import numpy as np

from hlsgen import numerics
from hlsgen.ops.norm import IntegerNorm, Norm
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import RATIO_LIMIT, Rule, Site, rule

EPSILON_LIMIT = 1 << 47
"""Largest epsilon of an integer norm that scales are chosen for."""


@rule(Norm)
class NormRule(Rule[Norm]):
    """A gain that turns normalised rows into the result's units."""

    def scale(self, op: Norm, site: Site) -> float:
        """Exactly `2**shift / multiplier`."""
        # An element's own gain shift may be less than that of its norm, but not less than 0.
        multiplier, shift = numerics.dyadic(1.0 / max(site.narrow(), RATIO_LIMIT * float(op.gamma.max())))
        return 2.0**shift / multiplier

    def integer(self, op: Norm, site: Site) -> IntegerNorm:
        gain, gain_shift = numerics.dyadic(1.0 / site.scale)
        epsilon = int(nearest(np.array(op.eps * (site.width // op.heads / site.sources[0]) ** 2)))
        shifts = exponents_of(op)
        return op.integer(epsilon=epsilon, gain=gain, gain_shift=gain_shift, heads=op.heads, shifts=shifts)

    def input_floor(self, op: Norm, site: Site) -> float:
        """The smallest input scale at which the integer norm can hold its epsilon."""
        return math.sqrt(op.eps / EPSILON_LIMIT) * (site.width // op.heads)


def exponents_of(op: Norm) -> np.ndarray | None:
    """The exponents of a folded norm's factors [N]; None where it has none."""
    exponents = np.log2(op.gamma).astype(np.int64)
    return exponents if exponents.any() else None
