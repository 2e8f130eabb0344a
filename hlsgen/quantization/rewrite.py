# SPDX-License-Identifier: Apache-2.0
"""Folded float Graph and scales -> integer Graph, node by node under the same names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Graph, GraphBuilder, Node, Op, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Choose,
    Combine,
    Context,
    ExpertLinear,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerContext,
    IntegerExp,
    IntegerExpertLinear,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMean,
    IntegerRoute,
    IntegerScores,
    IntegerTable,
    LayerNorm,
    Linear,
    Mean,
    Patches,
    Route,
    Scores,
    Select,
    Softmax,
)
from hlsgen.ops.activation import FUNCTIONS
from hlsgen.ops.scores import SMALLEST_WEIGHT
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.observers import Observer
from hlsgen.quantization.roles import Kind
from hlsgen.quantization.scales import INT8, chosen, mean_shift

SMALLEST_UNIT = 1e-280
"""A channel of smaller weights has none: their quotients would leave float64."""
BIAS_LIMIT = (1 << (numerics.BIAS_BITS - 1)) - 1
SMALLEST_RATIO = 2.0**-30
"""Smallest scale ratio of a channel: keeps its shift below 46. Smaller weights become zero: all they can add
lies below half a unit of the result."""
LARGEST_RATIO = 2.0**14
"""Largest scale ratio of a channel: its shift is 0. Larger weights are cut off at 2**21 units of the result,
a larger bias at 2**32, far beyond where results saturate."""


def rewrite(
    graph: Graph, kinds: Mapping[str, Kind], scales: Mapping[str, float], config: QuantizeConfig
) -> Graph:
    """The integer Graph, verified: every range and width proved by the types of its ops."""
    image = TensorType(graph.input_type.shape, -128, 127, scales[graph.input])
    builder = GraphBuilder(graph.input, image)
    for node in graph:
        sources = [scales[name] for name in node.inputs]
        op = _integer(node, graph, kinds[node.name], sources, scales[node.name], config)
        builder.add(node.name, op, node.inputs, node.source)
    return builder.finish(*graph.outputs)


def nearest(values: np.ndarray) -> np.ndarray:
    """The nearest integers, halves up."""
    return np.floor(np.asarray(values, np.float64) + 0.5).astype(np.int64)


def _integer(
    node: Node, graph: Graph, kind: Kind, sources: list[float], scale: float, config: QuantizeConfig
) -> Op:
    """The integer op for one node: `sources` are the scales of its inputs, `scale` its own."""
    match node.op:
        case Choose() | Patches() | Select() as op:
            return op
        case Linear() as op:
            observer = chosen(node.name, config.weight_overrides, config.weights)
            low, high = _range(kind, config)
            low = SMALLEST_WEIGHT if _is_weight(graph, node) else low
            return linear(op, sources[0], scale, low, high, observer)
        case ExpertLinear() | Route() | Combine():
            return _mixture(node, kind, sources, scale, config)
        case AddConstant() as op:
            return IntegerAddConstant(value=nearest(op.value / scale))
        case Add():
            return IntegerAdd()
        case LayerNorm() as op:
            return _layer_norm(op, sources[0], scale)
        case Scores() as op:
            multiplier, shift = numerics.dyadic(sources[0] * sources[1] * op.scale / scale)
            return IntegerScores(
                heads=op.heads, multiplier=multiplier, shift=shift, width=config.logit_width, scale=scale
            )
        case Softmax():
            return IntegerExp(table=numerics.exp_table(sources[0], config.logit_width))
        case Context():
            multiplier, shift = numerics.dyadic(sources[1] / scale)
            return IntegerContext(multiplier=multiplier, shift=shift, scale=scale)
        case Activation() as op:
            return _table(op, sources[0], scale)
        case Mean():
            tokens = graph.type_of(node.inputs[0]).shape[0]
            low, high = (-128, 127) if kind is Kind.NARROW else (-(1 << 15), (1 << 15) - 1)
            return IntegerMean(shift=mean_shift(sources[0], tokens, scale), low=low, high=high)
        case other:
            raise TypeMismatch(f"%{node.name}: {type(other).__name__} has no integer form")


def _mixture(node: Node, kind: Kind, sources: list[float], scale: float, config: QuantizeConfig) -> Op:
    """The integer ops of a mixture of experts."""
    match node.op:
        case ExpertLinear() as op:
            observer = chosen(node.name, config.weight_overrides, config.weights)
            return _experts(op, sources[0], scale, *_range(kind, config), observer)
        case Route() as op:
            table = numerics.sigmoid_table if op.convention == "sigmoid" else numerics.gate_table
            return IntegerRoute(k=op.k, convention=op.convention, table=table(sources[0], config.logit_width))
        case _:
            return IntegerCombine(left=round(math.log2(sources[1] / sources[0])))


def _is_weight(graph: Graph, node: Node) -> bool:
    """Whether the array multiplies by the result: keys and values."""
    users = graph.users(node.name)
    return any(isinstance(user.op, Scores | Context) and user.inputs[1] == node.name for user in users)


def _range(kind: Kind, config: QuantizeConfig) -> tuple[int, int]:
    """Smallest and largest value of a linear layer's result."""
    if kind is Kind.NARROW:
        return -128, 127
    half = 1 << (config.logit_width - 1 if kind is Kind.ROUTER else 15)
    return -half, half - 1


def _layer_norm(op: LayerNorm, source: float, scale: float) -> IntegerLayerNorm:
    width = len(op.gamma)
    gain, gain_shift = numerics.dyadic(1.0 / scale)
    epsilon = int(nearest(np.array(op.eps * (width / source) ** 2)))
    return IntegerLayerNorm(epsilon=epsilon, gain=gain, gain_shift=gain_shift)


def _table(op: Activation, source: float, scale: float) -> IntegerTable:
    values = FUNCTIONS[op.function](source * np.arange(-128.0, 128.0))
    return IntegerTable(table=nearest(np.clip(values / scale, -128, 127)), scale=scale)


def linear(op: Linear, source: float, scale: float, low: int, high: int, observer: Observer) -> IntegerLinear:
    """Weights to nearest int8 with one scale per output channel, the bias in the accumulator's unit."""
    units = weight_scales(op, source, scale, high, observer)
    weight = nearest(np.clip(op.weight / units[:, None], -INT8, INT8))
    bias = nearest(np.clip(op.bias / (source * units), -BIAS_LIMIT, BIAS_LIMIT))
    pairs = np.array([numerics.dyadic(ratio) for ratio in source * units / scale], np.int64)
    return IntegerLinear(
        weight=weight, bias=bias, multiplier=pairs[:, 0], shift=pairs[:, 1], low=low, high=high, scale=scale
    )


def _experts(
    op: ExpertLinear, source: float, scale: float, low: int, high: int, observer: Observer
) -> IntegerExpertLinear:
    """Every expert as `linear` makes it."""
    layers = [
        linear(Linear(weight=weight, bias=bias), source, scale, low, high, observer)
        for weight, bias in zip(op.weight, op.bias, strict=True)
    ]
    fields = {
        name: np.stack([getattr(layer, name) for layer in layers])
        for name in ("weight", "bias", "multiplier", "shift")
    }
    return IntegerExpertLinear(**fields, low=low, high=high, scale=scale)


def weight_scales(op: Linear, source: float, scale: float, high: int, observer: Observer) -> np.ndarray:
    """Weight scale by output channel [N]: the observer's, but such that bias and shift fit."""
    units = observer.row_scales(op.weight, INT8)
    units = np.where(units > 0, units, np.abs(op.weight).max(-1) / INT8)
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
