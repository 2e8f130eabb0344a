# SPDX-License-Identifier: Apache-2.0
"""Linear layers: int8 weights with one scale per output channel."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.ops import Choose, GroupedLinear, IntegerGroupedLinear, IntegerLinear, Linear
from hlsgen.ops.factors import is_factor
from hlsgen.ops.kinds import Kind
from hlsgen.ops.scores import SMALLEST_WEIGHT
from hlsgen.quantization.rounding import Rounding, nearest
from hlsgen.quantization.rules.rule import INT8, INT16, RATIO_LIMIT, Rule, Site, rule, rule_of

SMALLEST_UNIT = 1e-280
"""A channel of smaller weights has none: their quotients would leave float64."""
BIAS_LIMIT = (1 << (numerics.BIAS_BITS - 1)) - 1
ROUNDS, ROOM, EXACT = 8, 1.001, 1 + 1e-9
"""Times that a channel's weight scale grows, how much more than its bias asks for, and the least of that."""
SMALLEST_RATIO = 2.0**-30
"""Smallest scale ratio of a channel: keeps its shift below 46. Smaller weights become zero: all they can add
lies below half a unit of the result."""
LARGEST_RATIO = 2.0**14
"""Largest scale ratio of a channel: its shift is 0. Larger weights are cut off at 2**21 units of the result,
a larger bias at 2**32, far beyond where results saturate."""


@rule(Linear)
class LinearRule(Rule[Linear]):
    """Results of 8 bits, of 16 bits, or of a router's width."""

    weighted = True

    def scale(self, op: Linear, site: Site) -> float:
        if site.kind is Kind.ROUTER:
            return _router(site)
        if site.kind is Kind.OUTPUT:
            scale = site.model.largest(site.node.name) * site.config.output_headroom / INT16
            scale = site.model.given.scales.get(site.node.name, scale)
            return max(scale, self.floor(op, site)) or 1.0
        return max(site.narrow(), self.floor(op, site)) or 1.0 / INT8

    def integer(self, op: Linear, site: Site) -> IntegerLinear:
        low, high = site.range
        low = max(low, SMALLEST_WEIGHT) if _is_weight(site) else low
        average = site.model.seen.averages.get(site.node.inputs[0])
        mean = None if average is None else average.mean()
        return linear(op, site.sources[0], site.scale, low, high, site.rounding(), mean)

    def floor(self, op: Linear, site: Site) -> float:
        return product_floor(op.weight, site)


@rule(GroupedLinear)
class GroupedLinearRule(Rule[GroupedLinear]):
    """As a linear layer: a row of weights is an output channel, whatever it reads."""

    weighted = True

    def scale(self, op: GroupedLinear, site: Site) -> float:
        return max(site.narrow(), self.floor(op, site)) or 1.0 / INT8

    def integer(self, op: GroupedLinear, site: Site) -> IntegerGroupedLinear:
        low, high = site.range
        low = max(low, SMALLEST_WEIGHT) if _is_weight(site) else low
        inputs, outputs = op.weight.shape[1], len(op.weight) // op.groups
        parts = [
            linear(
                Linear(weight=op.weight[first : first + outputs], bias=op.bias[first : first + outputs]),
                site.sources[0], site.scale, low, high,
                site.rounding().part(slice(group * inputs, (group + 1) * inputs)),
            )
            for group, first in enumerate(range(0, len(op.weight), outputs))
        ]  # fmt: skip
        names = ("weight", "bias", "multiplier", "shift")
        fields = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return IntegerGroupedLinear(
            **fields, groups=op.groups, low=low, high=high, scale=site.scale, weight_bits=parts[0].weight_bits
        )

    def floor(self, op: GroupedLinear, site: Site) -> float:
        return product_floor(op.weight, site)


def product_floor(weight: np.ndarray, site: Site) -> float:
    """The smallest result scale at which a linear layer's multipliers have a dyadic form."""
    largest = float(np.abs(weight).max(initial=0.0))
    return site.model.largest(site.node.inputs[0]) * largest / INT8**2 * RATIO_LIMIT


def _router(site: Site) -> float:
    """The routers among which the task chooses share a scale: the largest."""
    model = site.model
    choices = [user for user in site.users if isinstance(user.op, Choose)]
    names = choices[0].inputs if choices else (site.node.name,)
    levels = site.range[1]
    scales = [model.observed(name, levels, site.config.logits) for name in names]
    nodes = [model.graph.node(name) for name in names]
    floors = [rule_of(node).floor(node.op, model.site(node)) for node in nodes]
    return max(scales + floors) or 1.0


def _is_weight(site: Site) -> bool:
    """Whether the array multiplies by the result, as by keys and values."""
    return any(is_factor(user.op, user.inputs.index(site.node.name)) for user in site.users)


def linear(
    op: Linear,
    source: float,
    scale: float,
    low: int,
    high: int,
    how: Rounding,
    mean: np.ndarray | None = None,
) -> IntegerLinear:
    """Integer weights with one scale per output channel, the bias in the accumulator's unit.

    mean: of each element of the input, [K], if the bias shall take what the integer weights give on average
    beyond the real ones. It does so where weights are rounded by their inputs.
    """
    mean = mean if how.moments is None else how.moments.mean() * source
    units = weight_scales(op, source, scale, high, how)
    weight, bias, pairs = _rounded(op, source, scale, units, how, mean)
    for _ in range(ROUNDS):
        used = np.abs(bias) / BIAS_LIMIT
        grown = np.minimum(np.where(used > EXACT, used * ROOM, 1.0) * units, LARGEST_RATIO * scale / source)
        if not (grown > units).any():
            break
        units = grown  # coarser weights have another mean error, so both are made again
        weight, bias, pairs = _rounded(op, source, scale, units, how, mean)
    bias = nearest(np.clip(bias, -BIAS_LIMIT, BIAS_LIMIT))
    return IntegerLinear(
        weight=weight, bias=bias, multiplier=pairs[:, 0], shift=pairs[:, 1], low=low, high=high, scale=scale,
        weight_bits=how.stored_bits,
    )  # fmt: skip


def _rounded(
    op: Linear, source: float, scale: float, units: np.ndarray, how: Rounding, mean: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer weights in these units, biases in the accumulator's but not rounded, multipliers and shifts."""
    weight = how.integers(op.weight, units)
    pairs = np.array([numerics.dyadic(ratio) for ratio in source * units / scale], np.int64)
    if mean is None:
        return weight, op.bias / (source * units), pairs
    exact = pairs[:, 0] * 2.0 ** -pairs[:, 1] * scale / source
    bias = op.bias - (weight * exact[:, None] - op.weight) @ mean
    return weight, bias / (source * exact), pairs


def weight_scales(op: Linear, source: float, scale: float, high: int, how: Rounding) -> np.ndarray:
    """Weight scale by output channel [N]: the observer's, but such that bias and shift fit."""
    units = how.units(op.weight)
    units = np.where(units > 0, units, np.abs(op.weight).max(-1) / how.levels)
    units = np.where(units > SMALLEST_UNIT, units, dead_ratio(high) * scale / source)
    units = np.minimum(units, LARGEST_RATIO * scale / source)
    least = np.clip(np.abs(op.bias) / BIAS_LIMIT, SMALLEST_RATIO * scale, LARGEST_RATIO * scale)
    return np.maximum(units, least / source)


def dead_ratio(high: int) -> float:
    """Scale ratio of a channel without weights, nothing but its bias, where `high` is its largest result.

    As fine as the bias's bits allow for every result that is not saturated: 11 bits below the result's unit
    for int8, 3 for int16. A power of two, so that the multiplier is exact and the bias's rounding, at most a
    16th of a unit, is all that is lost; a finer ratio would have to grow for large int16 results, and the
    multiplier's rounding then costs them up to a whole unit.
    """
    return (high + 1) / (BIAS_LIMIT + 1)
