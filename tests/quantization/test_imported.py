# SPDX-License-Identifier: Apache-2.0
"""A model that is quantized already keeps its integers: each step gives its own runtime's, but for ties."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from support.quantized_models import SCALES, SHAPE, TOKENS, WIDTH, Small, pictures, program, weight_of

from hlsgen.errors import UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.quantization import QuantizeConfig, Quantized, quantize

TENSORS = {
    "norm1_layer_norm": "normed", "context": "context", "norm2_layer_norm": "again", "fc1": "hidden",
    "gelu": "active", "norm_layer_norm": "last",
}  # fmt: skip
"""Tensor of the graph -> quantizer."""


def imported(**options: Any) -> tuple[Graph, Quantized]:
    graph = capture(Small(**options).eval(), torch.zeros(1, *SHAPE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return graph, quantize(graph, pictures(32))


@pytest.fixture(scope="module")
def small() -> Quantized:
    return imported()[1]


def test_scales_are_the_quantizers(small: Quantized) -> None:
    for name, key in TENSORS.items():
        assert small.graph.type_of(name).scale == pytest.approx(SCALES[key], rel=1e-4), name
    assert small.graph.input_type.scale == SCALES["image"]
    assert {small.graph.type_of(name).scale for name in "qkv"} == {SCALES["qkv"]}


def test_weights_are_the_models_integers(small: Quantized) -> None:
    qkv, _ = weight_of(3 * WIDTH, WIDTH, 2)
    wanted = {"embed": weight_of(WIDTH, SHAPE[-1], 1)[0], "proj": weight_of(WIDTH, WIDTH, 3)[0]}
    wanted |= {name: qkv[i * WIDTH :][:WIDTH] for i, name in enumerate("qkv")}
    wanted |= {"fc1": weight_of(2 * WIDTH, WIDTH, 4)[0], "fc2": weight_of(WIDTH, 2 * WIDTH, 5)[0]}
    names = {node.name: node.op for node in small.graph}
    names["embed"] = next(node.op for node in small.graph if getattr(node.op, "weight", None) is not None)
    for name, integers in wanted.items():
        assert np.array_equal(names[name].weight, integers.numpy()), name  # type: ignore[attr-defined]


def test_each_step_gives_the_runtimes_integers(small: Quantized) -> None:
    """Each step is given the runtime's integers; its own may differ by a tie."""
    images, model = pictures(40, seed=5), Small().eval()
    with torch.no_grad():
        model(torch.from_numpy(images))
    codes = {name: model.codes[key] for name, key in TENSORS.items()}
    heads = model.codes["qkv"].reshape(len(images), TOKENS, 3, WIDTH)
    codes |= {name: heads[:, :, index] for index, name in enumerate("qkv")}
    assert np.array_equal(quantize_images(images, small.graph.input_type), model.codes["image"])
    for name in ("q", "k", "v", "fc1", "gelu"):
        node = small.graph.node(name)
        found = node.op.golden(codes[node.inputs[0]].astype(np.int64))
        gap = np.abs(found - codes[name])
        assert gap.max() <= 1, name
        assert (gap == 0).mean() > 0.99, name


@pytest.mark.parametrize("scheme", [(0.0155, -117, -128, 127), (0.0155, 11, 0, 255)])
def test_an_activation_may_have_a_zero_point(scheme: tuple[Any, ...]) -> None:
    """The table gives the quantizer's own integers, within -128..127; the next bias takes the constant."""
    _, made = imported(changes={"active": scheme})
    images, model = pictures(100, seed=9), Small(changes={"active": scheme}).eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    codes = made.graph.node("gelu").op.golden(model.codes["hidden"].astype(np.int64))
    gap = np.abs(codes - (model.codes["active"] - scheme[2] - 128))
    assert gap.max() <= 1
    assert (gap == 0).mean() > 0.99
    assert made.report.imported is not None
    assert "gelu" in made.report.imported.theirs
    assert_near(made, images, wanted)


def test_what_an_activation_reads_may_have_a_zero_point() -> None:
    """The bias gives the quantizer's own integers, within -128..127; the table takes the constant back."""
    scheme = (0.024, -60, -128, 127)
    _, made = imported(changes={"hidden": scheme})
    images, model = pictures(100, seed=9), Small(changes={"hidden": scheme}).eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    codes = made.graph.node("gelu").op.golden(model.codes["hidden"].astype(np.int64))
    gap = np.abs(codes - model.codes["active"])
    assert gap.max() <= 1
    assert (gap == 0).mean() > 0.99
    assert made.report.imported is not None
    assert "fc1" in made.report.imported.theirs
    assert_near(made, images, wanted)


def test_the_whole_model_agrees(small: Quantized) -> None:
    images, model = pictures(100, seed=7), Small().eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    assert_near(small, images, wanted)


def assert_near(made: Quantized, images: np.ndarray, wanted: np.ndarray) -> None:
    """The integers' outputs and the runtime's."""
    found = evaluate(made.graph, quantize_images(images, made.graph.input_type))[made.graph.output]
    real = found.reshape(len(images), -1) * (made.graph.type_of(made.graph.output).scale or 1.0)
    assert (real.argmax(1) == wanted.argmax(1)).mean() >= 0.95
    error, signal = real - wanted, wanted - wanted.mean(0)
    assert 10 * np.log10((signal**2).sum() / (error**2).sum()) > 28.0


def test_constants_stay_where_quantizers_are(small: Quantized) -> None:
    graph = capture(Small().eval(), torch.zeros(1, *SHAPE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        centred = quantize(graph, pictures(32), QuantizeConfig(centred=True))
    assert str(centred.graph) == str(small.graph)


def test_the_report_says_whose_scales_they_are(small: Quantized) -> None:
    found = small.report.imported
    assert found is not None
    assert set(found.theirs) == {"image", "q", "k", "v", *TENSORS}
    assert "scores" in found.ours
    assert all(item.theirs == item.channels for item in found.weights)
    assert sum(item.channels for item in found.weights) == 132
    assert "the model's own weights: 132 of 132 channels" in str(small.report)
    assert any("quantized already" in text for text in small.report.warnings)
    assert small.report.as_dict()["imported"]["theirs"]


def test_gamma_makes_weights_ours_and_says_so() -> None:
    _, made = imported(gamma=True)
    found = made.report.imported
    assert found is not None
    changed = {item.name: item.theirs for item in found.weights if item.why}
    assert changed == {"q": 0, "k": 0, "v": 0}
    assert all("gamma" in item.why for item in found.weights if item.why)
    assert ("norm1" in found.theirs, "norm2" in found.theirs) == (False, True)
    assert any("gamma" in why for _, why in found.left)
    assert any("3 layers behind norms are rounded again" in text for text in made.report.warnings)


@pytest.mark.parametrize(
    ("name", "scheme", "why"),
    [
        ("context", (0.02, 3, -128, 127), "symmetric"),
        ("hidden", (0.029, 0, -8, 7), "integers -128..127 there"),
        ("image", (0.03, -1, -128, 127), "symmetric"),
        ("normed", (0.03, 7, -128, 127), "symmetric"),
        ("active", (0.03, 0, 0, 127), "integers -128..127 there"),
    ],
)
def test_what_the_machine_cant_hold(name: str, scheme: tuple[Any, ...], why: str) -> None:
    graph = capture(Small(changes={name: scheme}).eval(), torch.zeros(1, *SHAPE))
    with pytest.raises(UnsupportedModel, match=why) as caught:
        quantize(graph, pictures(8))
    (problem,) = caught.value.problems
    assert problem.code is Code.IMPORTED
    assert problem.fix


@pytest.mark.parametrize("name", ["image", "normed", "context", "active"])
def test_integers_without_a_sign_around_their_middle_are_held(name: str) -> None:
    """0..255 with a zero point of 128, onnxruntime's symmetric QUInt8: the machine's, each with 128 more."""
    scale = SCALES[name]
    (_, wanted), (_, found) = imported(), imported(changes={name: (scale, 128, 0, 255)})
    assert found.quantize_input(pictures(2)).min() < 0
    for one, two in zip(wanted.graph, found.graph, strict=True):
        assert one.type == two.type
        for key, value in vars(one.op).items():
            np.testing.assert_array_equal(getattr(two.op, key), value)


def test_all_that_cant_be_held_at_once() -> None:
    changes = {"context": (0.02, 3, -128, 127), "normed": (0.03, 7, -128, 127)}
    with pytest.raises(UnsupportedModel) as caught:
        quantize(capture(program("fake", changes=changes)), pictures(8))
    assert len(caught.value.problems) == 2


def test_weights_with_a_zero_point_are_refused() -> None:
    model = Small().eval()
    integers, scale = weight_of(WIDTH, WIDTH, 3)
    model.proj.spelling = "pt2e"
    model.proj.weight, model.proj.zero = integers, torch.full((WIDTH,), -90, dtype=torch.int32)
    model.proj.scale = scale
    graph = capture(model, torch.zeros(1, *SHAPE))
    with pytest.raises(UnsupportedModel, match="zero point") as caught:
        quantize(graph, pictures(8))
    assert "%proj" in str(caught.value)


def test_a_float_graph_has_no_part_about_imports() -> None:
    graph, _ = imported()
    plain = Graph(graph.input, graph.input_type, graph.nodes, graph.outputs, graph.names, graph.views)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = quantize(plain, pictures(8)).report
    assert report.imported is None
    assert "imported" not in report.as_dict()
