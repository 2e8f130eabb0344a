# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits in a model: which layers, what they are rounded by, and how much that gains."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from quantization.graphs import Vit, digits_vit, images, random_vit

from hlsgen.errors import QuantizationWarning, UsageError
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.ops import (
    Activation,
    Combine,
    ExpertLinear,
    GroupedLinear,
    IntegerLinear,
    LayerNorm,
    Linear,
    Patches,
    Route,
)
from hlsgen.ops.linear import Weighted
from hlsgen.quantization import QuantizeConfig, Quantized, quantize
from hlsgen.quantization.calibrate import observe
from hlsgen.quantization.fold import fold
from hlsgen.quantization.moments import with_moments
from hlsgen.quantization.roles import kinds
from hlsgen.quantization.rules.rule import Model
from hlsgen.quantization.scales import assign, counted

IMAGES = np.random.default_rng(1).normal(size=(12, 1, 8, 8))


def _quantized(graph: Graph, x: np.ndarray, **options: Any) -> Quantized:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        return quantize(graph, x, QuantizeConfig(**options))


def _bits(quantized: Quantized) -> dict[str, int]:
    return {node.name: node.op.weight_bits for node in quantized.graph if isinstance(node.op, Weighted)}


def _model(graph: Graph, config: QuantizeConfig) -> Model:
    graph = fold(graph)
    kind = kinds(graph)
    seen = observe(graph, kind, IMAGES, 64, 64, counted(graph, kind, config))
    return with_moments(assign(graph, kind, seen, config), seen.sample, 5)


def _experts() -> Graph:
    """Three experts, two for each of 16 tokens, behind a norm; before them a layer by groups."""
    random, graph = np.random.default_rng(2), GraphBuilder("image", TensorType((1, 8, 8)))

    def weight(*shape: int) -> dict[str, np.ndarray]:
        return {"weight": random.normal(size=shape), "bias": random.normal(size=shape[:-1])}

    x = graph.add("tokens", Linear(**weight(6, 4)), [graph.add("patches", Patches(patch=(2, 2)), ["image"])])
    x = graph.add("grouped", GroupedLinear(groups=3, **weight(6, 2)), [x])
    x = graph.add("stream", Linear(**weight(8, 6)), [x])
    norm = LayerNorm(gamma=np.ones(8), beta=np.zeros(8), eps=1e-5)
    route = graph.add(
        "route", Route(k=2, convention="softmax_topk"),
        [graph.add("router", Linear(**weight(3, 8)), [graph.add("first", norm, [x])])],
    )  # fmt: skip
    up = graph.add("up", ExpertLinear(**weight(3, 5, 8)), [graph.add("second", norm, [x]), route])
    inner = graph.add("gelu", Activation(function="gelu"), [up])
    down = graph.add("down", ExpertLinear(**weight(3, 8, 5)), [inner, route])
    x = graph.add("combine", Combine(), [x, down, route])
    return graph.finish(graph.add("out", Linear(**weight(4, 8)), [x]))


def test_a_number_is_for_all_layers_but_first_last_and_routers() -> None:
    found = _bits(_quantized(_experts(), IMAGES, weight_bits=4))
    wide = {name for name, bits in found.items() if bits == 8}
    assert {"tokens", "router", "out"} <= wide
    assert not wide & {"grouped", "stream", "up", "down"}


def test_globs_choose_layers_and_the_first_match_wins() -> None:
    found = _bits(_quantized(_experts(), IMAGES, weight_bits={"up": 6, "*": 4}))
    assert {name for name, bits in found.items() if bits == 8} == {"up"}
    made = _quantized(_experts(), IMAGES, weight_bits={"up": 6}).graph.node("up").op
    assert isinstance(made, Weighted)
    assert 7 < abs(made.weight).max() <= 31


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weight_bits": 9}, r"weight_bits must be in 2\.\.8, not 9"),
        ({"weight_bits": {"a": 1}}, r"weight_bits\['a'\] must be in 2\.\.8, not 1"),
        ({"rounding": "up"}, "rounding must be one of gptq, nearest, not 'up'"),
    ],
)
def test_what_no_layer_can_have_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        QuantizeConfig(**options)


def test_a_glob_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="weight_bits must match the name of a linear layer, not 'blokcs"):
        _quantized(random_vit(Vit()), images(Vit(), 8), weight_bits={"blokcs_*": 4})


def test_moments_are_those_of_the_rows_that_weights_meet() -> None:
    model = _model(_experts(), QuantizeConfig(weight_bits=4))
    values = evaluate(model.graph, IMAGES)
    assert set(model.moments) == {"grouped", "stream", "up", "down"}
    inner = np.clip(np.floor(values["grouped"] / model.scales["grouped"] + 0.5), -128, 127)
    np.testing.assert_allclose(model.moments["stream"][0].mean(), inner.reshape(-1, 6).mean(0))
    chosen = values["route"][..., :2].astype(int)
    for name, source, rows in (("up", "second", 1), ("down", "gelu", 2)):
        x = np.clip(np.floor(values[source] / model.scales[source] + 0.5), -128, 127)
        for expert, moments in enumerate(model.moments[name]):
            mine = x[(chosen == expert).any(-1)] if rows == 1 else x[(chosen == expert).reshape(len(x), -1)]
            assert moments.rows == len(mine) > 0
            np.testing.assert_allclose(moments.mean(), mine.mean(0))


def test_layers_that_read_one_tensor_share_its_moments() -> None:
    shape = Vit()
    model = _model(random_vit(shape), QuantizeConfig(weight_bits=4))
    inputs = {name: model.graph.node(name).inputs for name in model.moments}
    shared = [(a, b) for a in inputs for b in inputs if a < b and inputs[a] == inputs[b]]
    assert shared
    assert all(model.moments[a] is model.moments[b] for a, b in shared)


def test_weights_of_8_bits_need_no_moments() -> None:
    assert not _model(_experts(), QuantizeConfig()).moments
    assert not _model(_experts(), QuantizeConfig(weight_bits=4, rounding="nearest")).moments


def test_a_bias_takes_what_its_weights_give_on_average() -> None:
    model = _model(_experts(), QuantizeConfig(weight_bits=4))
    made = _quantized(_experts(), IMAGES, weight_bits=4).graph.node("stream").op
    op = model.graph.node("stream").op
    assert isinstance(made, IntegerLinear)
    assert isinstance(op, Linear)
    units = made.multiplier * 2.0**-made.shift * model.scales["stream"] / model.scales["grouped"]
    mean = model.moments["stream"][0].mean() * model.scales["grouped"]
    found = made.weight * units[:, None] @ mean + made.bias * units * model.scales["grouped"]
    wanted = op.weight @ mean + op.bias
    assert (abs(found - wanted) <= units * model.scales["grouped"]).all()
    nearest = _quantized(_experts(), IMAGES, weight_bits=4, rounding="nearest").graph.node("stream").op
    assert isinstance(nearest, IntegerLinear)
    assert (nearest.bias != made.bias).any()


def test_rounding_by_inputs_keeps_the_digits() -> None:
    """dB of what differs between held-out images, and classes."""
    pytest.importorskip("sklearn")
    from hlsgen.examples.digits import data

    x, labels = data.heldout()
    decibels = {}
    for rounding in ("nearest", "gptq"):
        made = _quantized(digits_vit(), data.calibration()[0], weight_bits=4, rounding=rounding)
        output = made.graph.output
        real = evaluate(made.reference, x)[output][:, 0]
        found = made.dequantize(output, evaluate(made.graph, made.quantize_input(x))[output])[:, 0]
        error, signal = found - real, real - real.mean(0)
        decibels[rounding] = 10 * np.log10((signal**2).sum() / (error**2).sum())
        correct = float((found.argmax(-1) == labels).mean())
    assert decibels["gptq"] > decibels["nearest"] + 3
    assert correct > 0.98
