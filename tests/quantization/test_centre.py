# SPDX-License-Identifier: Apache-2.0
"""Constants move out of 8-bit tensors, the float Graph stays equal; biases take the weights' mean error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support.systems import SYSTEMS, pictures, system

from hlsgen.errors import CalibrationError
from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate, quantize_images
from hlsgen.ops import Activation, Add, Context, Linear, Patches, Scores, Softmax
from hlsgen.quantization import QuantizeConfig, quantize
from hlsgen.quantization.centre import centre
from hlsgen.quantization.fold import fold

IMAGE = TensorType((2, 8, 8))
CENTRED, PLAIN = QuantizeConfig(centred=True), QuantizeConfig(centred=False)
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


def _layer(outputs: int, inputs: int, seed: int, level: float = 0.0) -> Linear:
    random = np.random.default_rng(seed)
    weight = random.normal(size=(outputs, inputs)) / inputs**0.5
    return Linear(weight=weight, bias=level + random.normal(size=outputs))


def _attention(shared: bool = False, bias: np.ndarray | None = None) -> Graph:
    """Patches, attention with biases far from zero, an MLP; `shared`: keys are values."""
    builder = GraphBuilder("image", IMAGE)
    cut = builder.add("patches", Patches(patch=(4, 4)), ["image"])
    x = builder.add("tokens", _layer(8, 32, 1), [cut])
    q = builder.add("q", _layer(8, 32, 2), [cut])
    k = builder.add("k", _layer(8, 32, 3, level=4.0), [cut])
    v = k if shared else builder.add("v", _layer(8, 32, 4, level=4.0), [cut])
    scores = builder.add("scores", Scores(heads=2, scale=0.5, bias=bias), [q, k])
    weights = builder.add("weights", Softmax(), [scores])
    context = builder.add("context", Context(), [weights, v])
    first = builder.add("first", _layer(12, 8, 5), [context])
    active = builder.add("active", Activation(function="gelu"), [first])
    last = builder.add("last", _layer(8, 12, 6), [active])
    return builder.finish(builder.add("sum", Add(), [x, last]))


def _images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(count, 2, 8, 8))


def test_what_moves_and_what_it_leaves() -> None:
    images = _images()
    before = _attention()
    after = centre(before, images)
    one, two = (evaluate(graph, images) for graph in (before, after))
    np.testing.assert_allclose(two["sum"], one["sum"], rtol=1e-12, atol=1e-12)
    for name in ("k", "context"):
        assert abs(one[name].mean()) > 3.0
        np.testing.assert_allclose(two[name].mean((0, 1)), 0.0, atol=1e-9)
    active = two["active"]
    assert -1.06 * active.min() >= active.max() >= -0.94 * active.min() > 0.0
    moved = one["first"] - two["first"]
    np.testing.assert_allclose(moved, moved.mean(), atol=1e-9)
    assert moved.mean() > 0.1 * one["first"].max() > 0.0  # GELU shows little of what lies below zero
    for name in ("patches", "tokens", "q", "weights", "last"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-9, atol=1e-9)


def test_what_has_another_reader_stays() -> None:
    images = _images()
    before = _attention(shared=True)
    one, two = (evaluate(graph, images) for graph in (before, centre(before, images)))
    for name in ("k", "context"):
        np.testing.assert_array_equal(two[name], one[name])
    np.testing.assert_allclose(two["sum"], one["sum"], rtol=1e-12, atol=1e-12)


def test_values_keep_what_a_query_without_keys_does_not_see() -> None:
    """Its weights sum to zero, not to one: a bias behind it would give it the mean of the values."""
    images, bias = _images(), np.zeros((2, 4, 4))
    bias[:, 2] = -np.inf
    before = _attention(bias=bias)
    one, two = (evaluate(graph, images) for graph in (before, centre(before, images)))
    assert not one["context"][:, 2].any()
    np.testing.assert_allclose(two["context"], one["context"], rtol=1e-12)
    np.testing.assert_allclose(two["sum"], one["sum"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["clip", "mlp_mixer", "head_gains"])
def test_a_centred_system_is_equal_and_less_noisy(name: str) -> None:
    images, held = pictures(32), pictures(256, seed=4)
    graph = capture(system(name), torch.from_numpy(images[:1]))
    wanted = evaluate(graph, held)[graph.output]
    errors = []
    for config in (PLAIN, CENTRED):
        made = quantize(graph, images, config)
        np.testing.assert_allclose(evaluate(made.reference, held)[made.reference.output], wanted, atol=1e-6)
        scale = made.graph.type_of(made.graph.output).scale or 1.0
        integers = quantize_images(held, made.graph.input_type)
        errors.append(((evaluate(made.graph, integers)[made.graph.output] * scale - wanted) ** 2).sum())
    assert errors[1] < 0.98 * errors[0]


def test_biases_take_the_mean_error_of_weights() -> None:
    """Inputs far from zero: what rounding does to the weights adds a constant to each channel."""
    builder = GraphBuilder("image", IMAGE)
    cut = builder.add("patches", Patches(patch=(4, 4)), ["image"])
    graph = builder.finish(builder.add("layer", _layer(64, 32, 7), [cut]))
    images = 3.0 + 0.1 * _images(64)
    found = []
    for config in (PLAIN, CENTRED):
        made = quantize(graph, images, config).graph
        integers = quantize_images(images, made.input_type)
        scales = [kind.scale or 1.0 for kind in (made.type_of("layer"), made.input_type)]
        real, fed = evaluate(made, integers)["layer"] * scales[0], integers * scales[1]
        found.append(np.abs((real - evaluate(graph, fed)["layer"]).mean((0, 1))).max())
    assert found[1] < found[0] / 5


def test_calibration_is_read_once() -> None:
    images, read = _images(), []

    def items() -> Iterator[np.ndarray]:
        for start in range(0, len(images), 4):
            read.append(start)
            yield images[start : start + 4]

    graph = _attention()
    made = quantize(graph, items(), CENTRED)
    assert read == [0, 4, 8, 12]
    assert made.report.images == len(images)
    with pytest.raises(CalibrationError, match="at least one image"):
        quantize(graph, iter(()), CENTRED)


def test_without_the_setting_nothing_moves() -> None:
    images = pictures(8)
    graph = capture(system(SYSTEMS[0]), torch.from_numpy(images[:1]))
    made = quantize(graph, images, PLAIN)
    for node, kept in zip(made.reference, fold(graph), strict=True):
        assert node.name == kept.name
        if isinstance(node.op, Linear) and isinstance(kept.op, Linear):
            np.testing.assert_array_equal(node.op.bias, kept.op.bias)
