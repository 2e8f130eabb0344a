# SPDX-License-Identifier: Apache-2.0
"""Casts: the gain of an RMS norm whose epsilon outweighs the rows."""

from __future__ import annotations

from hlsgen import numerics
from hlsgen.ops import Cast, IntegerCast
from hlsgen.ops.cast import ROOT_BITS
from hlsgen.quantization.rules.rule import INT8, RATIO_LIMIT, Rule, Site, rule

LARGEST_SHARE = 2.0**-7
"""A row's N**2 * mean square over epsilon, at most: twice the share of a value that the cast loses."""


@rule(Cast)
class CastRule(Rule[Cast]):
    """A scale of 8 bits that the observer chooses."""

    def scale(self, op: Cast, site: Site) -> float:
        """Exactly `unit * 2**shift / multiplier`."""
        del op
        unit = _unit(site)
        multiplier, shift = numerics.dyadic(unit / max(site.narrow() or 1.0 / INT8, unit * RATIO_LIMIT))
        return unit * 2.0**shift / multiplier

    def integer(self, op: Cast, site: Site) -> IntegerCast:
        del op
        gain, gain_shift = numerics.dyadic(_unit(site) / site.scale)
        return IntegerCast(epsilon=1 << (2 * ROOT_BITS), gain=gain, gain_shift=gain_shift)

    def input_floor(self, op: Cast, site: Site) -> float:
        """The smallest input scale at which epsilon outweighs the rows that calibration saw."""
        del op
        root = 2.0**ROOT_BITS * LARGEST_SHARE**0.5
        return site.model.largest(site.node.inputs[0]) * site.width / root


def _unit(site: Site) -> float:
    """What one of the norm's own units is worth: the input's scale, sqrt(epsilon), 1 / N."""
    return site.sources[0] * 2.0**ROOT_BITS / site.width
