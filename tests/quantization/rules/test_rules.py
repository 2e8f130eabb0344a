# SPDX-License-Identifier: Apache-2.0
"""What the integer ops' constants are, from the float ops and the scales."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit

from hlsgen import numerics
from hlsgen.ir import Node, TensorType
from hlsgen.ops import (
    AddConstant,
    IntegerAddConstant,
    IntegerContext,
    IntegerExp,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMean,
    IntegerScores,
    IntegerTable,
    LayerNorm,
    Linear,
    Scores,
)
from hlsgen.ops.pointwise import NAMED
from hlsgen.quantization import QuantizeConfig, Quantized, quantize
from hlsgen.quantization.observers import MinMax
from hlsgen.quantization.rounding import Rounding
from hlsgen.quantization.rules.linear import BIAS_LIMIT, LARGEST_RATIO, dead_ratio, linear, weight_scales

_T = TypeVar("_T")
SHAPE = Vit(pool="mean_norm")
QUANTIZED = quantize(random_vit(SHAPE), images(SHAPE, 64), QuantizeConfig(centred=False))


def _pairs(kind: type[_T], quantized: Quantized = QUANTIZED) -> list[tuple[Node, Node, _T]]:
    """(float node, integer node, integer op) for every op of a kind."""
    return [(quantized.reference.node(n.name), n, n.op) for n in quantized.graph if isinstance(n.op, kind)]


def _scale(name: str, quantized: Quantized = QUANTIZED) -> float:
    scale = quantized.graph.type_of(name).scale
    assert scale is not None
    return scale


def test_names_inputs_and_sources_are_kept() -> None:
    assert [(n.name, n.inputs, n.source) for n in QUANTIZED.graph] == [
        (n.name, n.inputs, n.source) for n in QUANTIZED.reference
    ]


def test_weights_and_biases_are_nearest() -> None:
    for reference, node, op in _pairs(IntegerLinear):
        real = reference.op
        assert isinstance(real, Linear)
        units = np.abs(real.weight).max(1) / 127
        assert np.abs(op.weight * units[:, None] - real.weight).max() <= units.max() / 2 * (1 + 1e-9)
        assert (np.abs(op.weight).max(1) == 127).all()
        unit = units * _scale(node.inputs[0])
        assert (np.abs(op.bias * unit - real.bias) <= unit / 2 * (1 + 1e-9)).all()
        ratio = op.multiplier * 2.0**-op.shift
        np.testing.assert_allclose(ratio, unit / op.scale, rtol=2.0**-15)


def test_linear_layers_have_the_range_their_place_needs() -> None:
    ranges = {node.name: (op.low, op.high) for _, node, op in _pairs(IntegerLinear)}
    wide, narrow, weights = (-32768, 32767), (-128, 127), (-127, 127)
    places = {"_q": narrow, "_k": weights, "_v": weights, "c1": narrow}
    assert ranges == {name: places.get(name[-2:], wide) for name in ranges}
    residual = {_scale(n.name) for n in QUANTIZED.graph if n.name.endswith(("add1", "add2", "proj", "fc2"))}
    assert residual == {_scale("embedding"), _scale("patch_embed")} == {_scale("embedding")}


def test_the_residual_scale_holds_the_largest_value_with_headroom() -> None:
    rows = QUANTIZED.report.tensors
    names = ("patch_embed", "embedding")
    stream = [r for r in rows if r.name in names or r.name.endswith(("add1", "add2", "proj", "fc2"))]
    value = QUANTIZED.reference.node("embedding").op
    assert isinstance(value, AddConstant)
    largest = max([np.abs(value.value).max()] + [max(-row.low, row.high) for row in stream])
    assert _scale("embedding") == pytest.approx(1.25 * largest / 32767)


def test_biases_at_their_limit_take_the_mean_error_of_the_weights_that_are_there() -> None:
    """Such a channel's weights grow coarser until the bias fits, which changes their mean error."""
    random = np.random.default_rng(5)
    weight, mean = random.normal(0.02, 0.05, (64, 256)), np.full(256, -6.0)
    op, source, scale = Linear(weight=weight, bias=-weight @ mean), 0.05, 0.1
    made = linear(op, source, scale, -128, 127, Rounding(MinMax()), mean)
    units = made.multiplier * 2.0**-made.shift * scale / source
    free = np.abs(weight).max(-1) / 127
    assert (units > 1.5 * free).sum() > 20
    result = made.weight @ mean * units + made.bias * units * source
    np.testing.assert_allclose(result, 0.0, atol=2 * (units * source).max())


def test_constants_are_nearest() -> None:
    ((reference, _, op),) = _pairs(IntegerAddConstant)
    assert isinstance(reference.op, AddConstant)
    scale = _scale("embedding")
    assert np.abs(op.value * scale - reference.op.value).max() <= scale / 2


def test_layer_norm_constants() -> None:
    for reference, node, op in _pairs(IntegerLayerNorm):
        assert isinstance(reference.op, LayerNorm)
        assert op.epsilon == round(1e-5 * SHAPE.width**2 / _scale(node.inputs[0]) ** 2)
        assert (op.gain, op.gain_shift) == numerics.dyadic(1 / _scale(node.name))
        largest = max(-QUANTIZED.report.tensor(node.name).low, QUANTIZED.report.tensor(node.name).high)
        assert 0.6 * largest / 127 < _scale(node.name) <= 1.3 * largest / 127


def test_attention_constants() -> None:
    for reference, node, op in _pairs(IntegerScores):
        q, k = (_scale(name) for name in node.inputs)
        assert isinstance(reference.op, Scores)
        assert op.multiplier * 2.0**-op.shift == pytest.approx(
            q * k * reference.op.scale / op.scale, rel=2.0**-15
        )
        assert op.width == 10
    for _, node, op in _pairs(IntegerExp):
        table = numerics.exp_table(_scale(node.inputs[0]), 10, diffused=True)
        np.testing.assert_array_equal(op.table, table)
    for _, node, op in _pairs(IntegerContext):
        assert op.multiplier * 2.0**-op.shift == pytest.approx(
            _scale(node.inputs[1]) / op.scale, rel=2.0**-15
        )


def test_logits_far_below_their_row_maximum_cost_no_resolution() -> None:
    row = QUANTIZED.report.tensor("blocks_0_scores")
    assert row.scale <= max(-row.low, row.high) / 511
    graph = random_vit(SHAPE)
    key = graph.node("blocks_0_attn_k").op
    assert isinstance(key, Linear)
    key.weight[:] *= 12.0
    row = quantize(graph, images(SHAPE, 64)).report.tensor("blocks_0_scores")
    # The lowest logits are far more than exp can tell from zero below the largest of their rows.
    assert row.low < -2 * 512 * row.scale or row.high > 500 * row.scale
    assert row.high <= 511 * row.scale * (1 + 1e-12)


def test_tables_are_within_half_a_unit() -> None:
    for _, node, op in _pairs(IntegerTable):
        values = NAMED["gelu"](_scale(node.inputs[0]) * np.arange(-128, 128)) / op.scale
        assert np.abs(op.table - np.clip(values, -128, 127)).max() <= 0.5


@pytest.mark.parametrize("pool", ["mean", "norm_mean", "token_plain"])
def test_int8_means_get_the_scale_their_observer_chose(pool: str) -> None:
    shape = Vit(pool=pool)
    quantized = quantize(random_vit(shape), images(shape, 64))
    ((_, node, op),) = _pairs(IntegerMean, quantized)
    row = quantized.report.tensor(node.name)
    assert (op.low, op.high) == (-128, 127)
    assert 0.6 < row.scale * 127 / max(-row.low, row.high) < 1.34
    tokens = quantized.graph.type_of(node.inputs[0]).shape[0]
    assert row.scale == _scale(node.inputs[0], quantized) * 2.0**op.shift / tokens


def test_a_mean_before_a_norm_keeps_16_bits() -> None:
    ((_, node, op),) = _pairs(IntegerMean)
    row = QUANTIZED.report.tensor(node.name)
    assert (op.low, op.high) == (-32768, 32767)
    assert 1.25 / 2 < row.scale * 32767 / max(-row.low, row.high) / 1.25 <= 2
    assert row.saturated == 0


@pytest.mark.parametrize("high", [127, 2047, 32767])
def test_a_channel_without_weights_gives_its_bias(high: int) -> None:
    """Every result up to the largest one, to nearest but for the bias's own rounding."""
    ends = [0.4, 0.6, high + 0.4, 3.0 * high, -5.0 * high]
    values = np.concatenate([np.linspace(-high - 1, high, 257), ends])
    scale = 0.003
    op = Linear(weight=np.zeros((len(values), 3)), bias=values * scale)
    integer = linear(op, 0.01, scale, -high - 1, high, Rounding(MinMax()))
    assert integer.infer(TensorType((1, 3), -128, 127, 0.01)).shape == (1, len(values))
    got = integer.golden(np.zeros((1, 3), np.int64))[0]
    fine = np.floor(values / dead_ratio(high) + 0.5) * dead_ratio(high)
    assert np.abs(fine - values).max() <= 1 / 16
    np.testing.assert_array_equal(got, np.clip(np.floor(fine + 0.5), -high - 1, high))


def test_weight_scales_grow_where_bias_or_shift_would_not_fit() -> None:
    weight = np.array([[1.0, -2.0], [1e-20, 0.0], [0.0, 0.0], [1e-3, 1e-3], [0.0, 0.0]])
    bias = np.array([0.5, 0.0, 3.0, 1e5, 1e9])
    op, source, scale = Linear(weight=weight, bias=bias), 0.01, 1e-3
    units = weight_scales(op, source, scale, 32767, Rounding(MinMax()))
    assert units[0] == 2 / 127
    assert np.abs(bias / (source * units))[:4].max() <= BIAS_LIMIT * (1 + 1e-9)
    assert units[4] == LARGEST_RATIO * scale / source
    integer = linear(op, source, scale, -32768, 32767, Rounding(MinMax()))
    assert integer.shift.max() <= 46
    assert integer.shift.min() == 0
    assert np.abs(integer.bias).max() <= BIAS_LIMIT
    got = integer.golden(np.zeros((1, 2), np.int64))[0]
    assert got.tolist() == [500, 0, 3000, 32767, 32767]
    assert math.isclose(integer.bias[3] * source * units[3], 1e5, rel_tol=1e-8)
