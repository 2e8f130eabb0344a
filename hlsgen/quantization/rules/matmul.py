# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors: one ratio of scales for all results."""

from __future__ import annotations

from hlsgen import numerics
from hlsgen.ops import IntegerMatmul, Matmul
from hlsgen.ops.kinds import Kind
from hlsgen.quantization.rules.rule import INT8, INT16, LARGEST_RATIO, RATIO_LIMIT, Rule, Site, rule


@rule(Matmul)
class MatmulRule(Rule[Matmul]):
    """Results of 8 or 16 bits."""

    def scale(self, op: Matmul, site: Site) -> float:
        unit = site.sources[0] * site.sources[1] * op.scale
        if site.kind is Kind.OUTPUT:
            wanted = site.model.largest(site.node.name) * site.config.output_headroom / INT16
        else:
            wanted = site.narrow()
        return min(max(wanted, unit * RATIO_LIMIT), unit * LARGEST_RATIO) or 1.0 / INT8

    def integer(self, op: Matmul, site: Site) -> IntegerMatmul:
        a, b = site.sources
        multiplier, shift = numerics.dyadic(a * b * op.scale / site.scale)
        low, high = site.range
        return IntegerMatmul(
            heads=op.heads, transposed=op.transposed, multiplier=multiplier, shift=shift,
            low=low, high=high, scale=site.scale, shared=op.shared,
        )  # fmt: skip

    def floor(self, op: Matmul, site: Site) -> float:
        a, b = (site.model.largest(name) for name in site.node.inputs)
        return a * b * op.scale / INT8**2 * RATIO_LIMIT
