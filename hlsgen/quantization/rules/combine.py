# SPDX-License-Identifier: Apache-2.0
"""The experts' results on the residual stream, whose scale they share."""

from __future__ import annotations

import math

from hlsgen.ops import Combine, IntegerCombine
from hlsgen.ops.route import GATE_BITS
from hlsgen.quantization.rules.rule import Model, Rule, Site, rule


@rule(Combine)
class CombineRule(Rule[Combine]):
    """A shift from the results' scale to the stream's."""

    def integer(self, op: Combine, site: Site) -> IntegerCombine:
        del op
        residual, results, _ = site.sources
        return IntegerCombine(left=round(math.log2(results / residual)))


def fit_results(model: Model) -> None:
    """Make the scale of experts' results a power of two times the residual stream's."""
    for node in model.graph:
        if isinstance(node.op, Combine):
            residual, results = (model.scales[name] for name in node.inputs[:2])
            # Beyond the limit every gate but zero saturates the stream.
            left = min(max(0, math.ceil(math.log2(results / residual) - 1e-9)), GATE_BITS)
            model.scales[node.inputs[1]] = residual * 2.0**left
