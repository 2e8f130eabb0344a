# SPDX-License-Identifier: Apache-2.0
"""What an activation reads has integers where its function shows them."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.ir import Graph, GraphBuilder, Node, TensorType, evaluate
from hlsgen.ops import Activation, Linear, Patches
from hlsgen.ops.pointwise import LONGEST, function
from hlsgen.quantization import QuantizeConfig, quantize
from hlsgen.quantization.observers import parse
from hlsgen.quantization.shown import activation_of, middle, taking_back
from hlsgen.quantization.statistics import Histogram

IMAGE = TensorType((2, 8, 8))
CONFIG = QuantizeConfig()
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


def _mlp(name: str, also: bool = False) -> Graph:
    """Patches, a layer, a function, a layer; `also`: the function is not the only reader."""
    random = np.random.default_rng(1)
    first, last = (
        Linear(weight=random.normal(size=shape) / shape[1] ** 0.5, bias=random.normal(size=shape[0]))
        for shape in ((16, 32), (8, 16))
    )
    builder = GraphBuilder("image", IMAGE)
    before = builder.add("before", first, [builder.add("patches", Patches(patch=(4, 4)), ["image"])])
    active = builder.add("active", Activation(function=name), [before])
    other = [builder.add("other", last, [before])] if also else []
    return builder.finish(builder.add("last", last, [active]), *other)


def _images(seed: int, count: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2, 8, 8))


def _step(graph: Graph, config: QuantizeConfig) -> tuple[float, float]:
    """The unit of what the function reads, and what moved."""
    made = quantize(graph, _images(2), config)
    held = _images(3)
    lost = evaluate(graph, held)["before"] - evaluate(made.reference, held)["before"]
    np.testing.assert_allclose(
        evaluate(made.reference, held)["last"], evaluate(graph, held)["last"], atol=1e-9
    )
    return made.graph.type_of("before").scale or 0.0, float(lost.mean())


@pytest.mark.parametrize(("name", "least"), [("relu", 1.6), ("gelu", 1.2), ("hardswish", 1.1)])
def test_the_input_of_a_function_is_finer_where_the_function_shows_it(name: str, least: float) -> None:
    finer, lost = _step(_mlp(name), CONFIG)
    plain, none = _step(_mlp(name), QuantizeConfig(centred=False))
    assert lost > 0.2
    assert none == pytest.approx(0.0, abs=1e-9)
    assert plain > least * finer


def test_the_report_counts_what_the_function_shows() -> None:
    """Half of ReLU's inputs lie below the integers; nobody sees it."""
    row = quantize(_mlp("relu"), _images(2), CONFIG).report.tensor("before")
    assert row.low < -200 * row.scale
    assert row.saturated < 0.001 * row.elements
    assert row.sqnr_db > 30.0


def test_relu_has_all_integers_above_zero() -> None:
    graph, random = _mlp("relu"), np.random.default_rng(4)
    histogram, values = Histogram(), random.normal(size=100_000)
    histogram.update(values, float(np.abs(values).max()))
    found = middle(graph.node("before"), *histogram.points(), function("relu"), CONFIG)
    assert found == pytest.approx(values.max() / 2, rel=0.06)


def test_a_rare_large_result_is_kept() -> None:
    """The least mean square error would cut it off: it is one of 100,000,000."""
    node, random = _mlp("relu").node("before"), np.random.default_rng(4)
    values = np.append(random.normal(size=10_000), 40.0)
    counts = np.append(np.full(10_000, 10_000.0), 1.0)
    wide, narrow = (
        middle(node, values, counts, function("relu"), QuantizeConfig(activations=text))
        for text in ("mse:5", "mse")
    )
    assert wide > 18.0 > 12.0 > narrow
    moved, shifted = function(taking_back("relu", wide)), Histogram()
    shifted.update(values - wide, float(np.abs(values - wide).max()))
    reach = 127 * parse("mse:5").scale(shifted, 127, moved)
    assert wide + reach >= 0.95 * 40.0
    assert reach < 22.0  # integers for what becomes zero would take twice as much


@pytest.mark.parametrize("name", ["min-max", "percentile:99.9"])
def test_observers_that_see_no_errors_move_nothing(name: str) -> None:
    _, lost = _step(_mlp("relu"), QuantizeConfig(activations=name))
    assert lost == pytest.approx(0.0, abs=1e-9)


def test_who_may_take_a_constant_back() -> None:
    def of(graph: Graph) -> Activation | None:
        return activation_of(graph, graph.node("before"))

    found = of(_mlp("relu"))
    assert found is not None
    assert found.function == "relu"
    assert of(_mlp("relu", also=True)) is None
    long = "x"
    while len(long) < LONGEST // 8:
        long = f"mul(x, {long})"
    assert of(_mlp(long)) is None


def test_a_function_that_shows_nothing_leaves_its_input() -> None:
    node = Node("before", Linear(weight=np.ones((1, 1)), bias=np.zeros(1)), ("image",), TensorType((4, 1)))
    values, counts = np.zeros(3), np.ones(3)
    assert middle(node, values, counts, function("relu"), CONFIG) == 0.0


def test_the_text_of_a_function_that_takes_back() -> None:
    for name in ("gelu", "x", "mul(x, exp(x))"):
        x = np.linspace(-2, 2, 9)
        np.testing.assert_allclose(function(taking_back(name, 0.5))(x - 0.5), function(name)(x), atol=1e-12)
