# SPDX-License-Identifier: Apache-2.0
"""Routings."""

from __future__ import annotations

from hlsgen import numerics
from hlsgen.ops import IntegerRoute, Route
from hlsgen.quantization.rules.rule import Rule, Site, rule


@rule(Route)
class RouteRule(Rule[Route]):
    """Expert numbers have no unit; gates are in units of 2**-15."""

    def scale(self, op: Route, site: Site) -> float:
        del op, site
        return 1.0

    def integer(self, op: Route, site: Site) -> IntegerRoute:
        table = numerics.sigmoid_table if op.convention == "sigmoid" else numerics.gate_table
        values = table(site.sources[0], site.config.logit_width)
        return IntegerRoute(k=op.k, convention=op.convention, table=values)
