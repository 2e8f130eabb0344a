# SPDX-License-Identifier: Apache-2.0
"""Models and images of extreme values: a graph that the machine computes, or a refusal; never a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from quantization.graphs import Builder, Vit, images

from hlsgen.errors import CalibrationError
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import Activation, Combine, ExpertLinear, IntegerLinear, Linear, Route
from hlsgen.ops.route import CONVENTIONS
from hlsgen.pipeline import compile as compile_graph
from hlsgen.quantization import QuantizeConfig, Quantized, quantize
from hlsgen.store.samples import Samples

Change = Callable[[str, np.ndarray], np.ndarray]

FACTORS = (0.0, 1e-300, 1e-45, 1e-38, 1e-25, 1e-20, 1e-10, 1e-7, 1e-4, 1e3, 1e6, 1e10, 1e20, 1e38)
PARTS = ("weight", "norm", "bias", "embed", "proj", "qkv", "fc1", "fc2", "head", "router", "experts", "")
POOLS = ("token", "mean_norm", "norm_mean", "mean", "token_plain")
OBSERVERS = ("mse", "min-max", "percentile:99", "percentile:50")
FEW = Vit(image=(1, 4, 4), width=8, hidden=12, classes=3, blocks=1)


class _Changed(Builder):
    """A vision transformer, after its blocks a mixture of experts; `change` may change every array."""

    def __init__(self, shape: Vit, change: Change, convention: str = "") -> None:
        super().__init__(shape, {})
        self.change, self.convention = change, convention

    def array(self, name: str, *size: int, spread: float = 1.0, middle: float = 0.0) -> np.ndarray:
        return self.change(name, super().array(name, *size, spread=spread, middle=middle))

    def block(self, name: str, x: str) -> str:
        x = super().block(name, x)
        return self.experts(x) if self.convention else x

    def experts(self, x: str, count: int = 3, k: int = 2) -> str:
        g, width, hidden = self.graph, self.shape.width, self.shape.hidden
        y = self.norm("norm_experts", x)
        router = Linear(
            weight=self.array("router.weight", count, width), bias=self.array("router.bias", count)
        )
        route = g.add("route", Route(k=k, convention=self.convention), [g.add("router", router, [y])])
        for name, size in (("experts1", (count, hidden, width)), ("experts2", (count, width, hidden))):
            weight = self.array(f"{name}.weight", *size, spread=size[-1] ** -0.5)
            layer = ExpertLinear(weight=weight, bias=self.array(f"{name}.bias", *size[:2], spread=0.1))
            y = g.add(name, layer, [y, route])
            if name == "experts1":
                y = g.add("experts_act", Activation(function="gelu"), [y])
        return g.add("combine", Combine(), [x, y, route])


def times(part: str, factor: float) -> Change:
    return lambda name, array: array * factor if part in name else array


def _random_change(random: np.random.Generator) -> Change:
    """Kinds of arrays times a factor: whole, every third row, one element, or one value; some without biases.

    Without biases, class token and positions nothing but the images and weights sets a tensor's range.
    """
    count, bare = int(random.integers(1, 3)), random.random() < 0.4
    changes = [(random.choice(PARTS), random.choice(FACTORS), random.integers(4)) for _ in range(count)]

    def change(name: str, array: np.ndarray) -> np.ndarray:
        array = array * (0.0 if bare and ("bias" in name or name in ("pos_embed", "cls_token")) else 1.0)
        for part, factor, way in changes:
            if part not in name:
                continue
            if way == 0:
                array *= factor
            elif way == 1:
                array[::3] *= factor
            elif way == 2:
                array.flat[0] = factor
            else:
                array[:] = factor
        return array

    return change


def _random_images(shape: Vit, random: np.random.Generator) -> np.ndarray:
    x = images(shape, 6, seed=int(random.integers(1000)))
    ways = (
        lambda: x,
        lambda: x * 0,
        lambda: np.full_like(x, 3.0),
        lambda: np.repeat(x[:1], 6, 0),
        lambda: x[:1],
        lambda: x * np.float32(1e-38),
        lambda: x * np.float32(1e12),
        lambda: np.where(x == x.max(), np.float32(3e38), x),
    )
    return ways[int(random.integers(len(ways))) if random.random() < 0.6 else 0]()


def check(graph: Graph, data: np.ndarray, config: QuantizeConfig) -> Quantized | None:
    """Quantize and let the machine compute a calibration image and a wild one; None where it is refused."""
    try:
        quantized = quantize(graph, data, config)
    except CalibrationError as error:
        if "must stay below 1e+30 on calibration images" not in str(error):
            raise
        return None
    random = np.random.default_rng(0)
    wild = random.integers(-128, 128, (1, *graph.input_type.shape))
    integers = np.concatenate([quantized.quantize_input(data[:1]), wild]).astype(np.int8)
    design = compile_graph(quantized, board="zcu102", array="4x4x8", samples=Samples(integers))
    assert design.simulate("program", samples=2).elements > 0  # else it raises Mismatch
    _lost_is_small(quantized, data)
    return quantized


def _lost_is_small(quantized: Quantized, data: np.ndarray) -> None:
    """A layer's result that is zero in integers was below half a step, or its layer gets a warning."""
    floats = evaluate(quantized.reference, data)
    golden = evaluate(quantized.graph, quantized.quantize_input(data))
    said = " ".join(quantized.report.warnings)
    for node in quantized.graph:
        if isinstance(node.op, IntegerLinear) and not golden[node.name].any() and floats[node.name].any():
            assert "zero in integers on all" in said


@pytest.mark.parametrize("seed", range(160))
def test_random_extremes(seed: int) -> None:
    random = np.random.default_rng(seed)
    convention = ("", *CONVENTIONS)[int(random.integers(5))]
    pools = POOLS[:4] if convention else POOLS  # a norm or a mean stands behind experts
    pool, function = pools[seed % len(pools)], ("gelu", "relu")[seed % 2]
    shape = replace(FEW, pool=pool, seed=seed, function=function)
    graph = _Changed(shape, _random_change(random), convention).build()
    image, activations, logits, weights = (str(random.choice(OBSERVERS)) for _ in range(4))
    config = QuantizeConfig(image=image, activations=activations, logits=logits, weights=weights)
    check(graph, _random_images(shape, random), config if seed % 2 else QuantizeConfig())


NAMED: dict[str, tuple[Change, str]] = {
    "weights x 1e-10": (times("weight", 1e-10), "zero in integers"),
    "patch weights x 1e-20": (times("patch_embed.weight", 1e-20), "patch_embed"),
    "denormal weights": (times("weight", 1e-44), "zero in integers"),
    "every array 1e-300": (times("", 1e-300), "differ from zero"),
    "gains x 1e6": (times("norm", 1e6), ""),
    "no gains": (times("norm1.weight", 0.0), ""),
    "weights x 1e10": (times("fc1", 1e10), ""),
    "router of zeros": (times("router", 0.0), ""),
}


@pytest.mark.parametrize("pool", POOLS[:4])
@pytest.mark.parametrize("name", NAMED)
def test_named_extremes(name: str, pool: str) -> None:
    change, said = NAMED[name]
    graph = _Changed(replace(FEW, pool=pool), change, "renormalised").build()
    quantized = check(graph, images(FEW, 8), QuantizeConfig())
    assert quantized is not None
    assert said in " ".join(quantized.report.warnings)


def test_a_layer_at_zero_is_named_with_a_reason_and_a_way_out() -> None:
    shape = replace(FEW, pool="mean_norm")
    report = quantize(_Changed(shape, times("patch_embed.weight", 1e-20)).build(), images(shape, 32)).report
    lost, channels = (next(w for w in report.warnings if text in w) for text in ("on all", "channels"))
    assert lost.startswith(
        "zero in integers on all 32 measured images, but not in the float model: %patch_embed; the values of "
        "%patch_embed, up to "
    )
    assert lost.endswith("check these layers' weights: pruned ones may be removed, others scaled up")
    assert channels == (
        "the weights of 8 of 8 channels of %patch_embed became zero: all they add lies below half a step of "
        "the result; check these layers' weights: pruned channels may be removed, others scaled up"
    )


def test_blank_images_are_said() -> None:
    report = quantize(_Changed(FEW, times("", 1.0)).build(), images(FEW, 32) * 0).report
    assert (
        "no calibration image makes %image differ from zero: the range in use is unknown; try calibration "
        "images that are like those in use"
    ) in report.warnings


def test_a_dead_row_s_percentile_still_represents_its_weights() -> None:
    """Most weights of the row are zero, so that its percentile is."""

    def sparse(name: str, array: np.ndarray) -> np.ndarray:
        if name == "head.weight":
            array[1] = np.where(np.arange(array.shape[1]) == 3, 0.5, 0.0)
        return array

    config = QuantizeConfig(weights="percentile:50")
    op = quantize(_Changed(FEW, sparse).build(), images(FEW, 32), config).graph.node("head").op
    assert isinstance(op, IntegerLinear)
    assert op.weight[1].tolist() == [0, 0, 0, 127, 0, 0, 0, 0]
