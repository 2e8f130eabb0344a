# SPDX-License-Identifier: Apache-2.0
"""Attention: logits, softmax numerators, contexts."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.ops import (
    Context,
    IntegerContext,
    IntegerExp,
    IntegerMixedScores,
    IntegerScores,
    MixedScores,
    Scores,
    Softmax,
)
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import (
    INT8,
    LARGEST_RATIO,
    RATIO_LIMIT,
    SMALLEST_SCALE,
    Rule,
    Site,
    rule,
)


@rule(Scores)
class ScoresRule(Rule[Scores]):
    """Logits of `logit_width` bits."""

    def scale(self, op: Scores, site: Site) -> float:
        return _logit_scale(site, site.sources[0] * site.sources[1] * op.scale)

    def integer(self, op: Scores, site: Site) -> IntegerScores:
        query, key = site.sources
        multiplier, shift = numerics.dyadic(query * key * op.scale / site.scale)
        width = site.config.logit_width
        return IntegerScores(
            heads=op.heads,
            multiplier=multiplier,
            shift=shift,
            width=width,
            scale=site.scale,
            shared=op.shared,
            addends=_addends(op, site),
        )


@rule(MixedScores)
class MixedScoresRule(Rule[MixedScores]):
    """Logits as scores; the matrix is int8 with one scale for all heads."""

    def scale(self, op: MixedScores, site: Site) -> float:
        return _logit_scale(site, site.sources[0] * _matrix_scale(op))

    def integer(self, op: MixedScores, site: Site) -> IntegerMixedScores:
        unit = _matrix_scale(op)
        multiplier, shift = numerics.dyadic(site.sources[0] * unit / site.scale)
        weight = nearest(op.matrix / unit).astype(np.int8)
        width = site.config.logit_width
        return IntegerMixedScores(
            weight=weight, multiplier=multiplier, shift=shift, width=width, scale=site.scale,
            addends=_addends(op, site),
        )  # fmt: skip


def _matrix_scale(op: MixedScores) -> float:
    return float(np.abs(op.matrix).max(initial=0.0)) / INT8 or 1.0 / INT8


def _logit_scale(site: Site, unit: float) -> float:
    """The observed scale of logits that are sums of so large units."""
    levels = (1 << (site.config.logit_width - 1)) - 1
    floor, ceiling = (max(unit * ratio, SMALLEST_SCALE) for ratio in (RATIO_LIMIT, LARGEST_RATIO))
    return min(max(site.model.observed(site.node.name, levels, site.config.logits), floor), ceiling)


def _addends(op: Scores | MixedScores, site: Site) -> np.ndarray | None:
    """The bias in units of the logits' scale, saturated beyond any logit; the code of hidden keys."""
    if op.bias is None:
        return None
    hidden = np.isneginf(op.bias)
    steps = nearest(np.where(hidden, 0.0, op.bias) / site.scale)
    most = -numerics.HIDDEN - 1
    return np.where(hidden, numerics.HIDDEN, np.clip(steps, -most, most)).astype(np.int16)


@rule(Softmax)
class SoftmaxRule(Rule[Softmax]):
    """The numerator alone; the context divides."""

    def scale(self, op: Softmax, site: Site) -> float:
        del op
        return 1.0 / ((1 << site.config.numerator_bits) - 1)

    def integer(self, op: Softmax, site: Site) -> IntegerExp:
        del op
        config, (before,) = site.config, site.node.inputs
        width, bits = config.logit_width, config.numerator_bits
        biased = getattr(site.model.graph.node(before).op, "bias", None) is not None
        table = numerics.exp_table(site.sources[0], width, bits, diffused=config.diffused)
        return IntegerExp(table=table, hidden=-(1 << (width - 1)) if biased else None)


@rule(Context)
class ContextRule(Rule[Context]):
    """The values' scale over the result's, and one reciprocal per row."""

    def scale(self, op: Context, site: Site) -> float:
        del op
        values = site.sources[1]
        return min(max(site.narrow(), values * RATIO_LIMIT), values * LARGEST_RATIO) or 1.0 / INT8

    def integer(self, op: Context, site: Site) -> IntegerContext:
        multiplier, shift = numerics.dyadic(site.sources[1] / site.scale)
        return IntegerContext(multiplier=multiplier, shift=shift, scale=site.scale, shared=op.shared)
