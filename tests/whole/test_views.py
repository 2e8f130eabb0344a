# SPDX-License-Identifier: Apache-2.0
"""A feature map from the model to `predict`: the machine writes tokens, design and driver show the map."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import hlsgen
from hlsgen import Design
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Graph, View, quantize_images, results
from hlsgen.lower import lower
from hlsgen.store.samples import Samples
from tests.emit.vivado.test_driver import Device, build_files
from tests.support.outputs import WIDTH, Encoder, pictures
from tests.whole.test_outputs import ARRAYS, Vectors

SHAPE = (WIDTH, 2, 3)


@cache
def mapped(several: bool) -> Graph:
    """The integer Graph of an encoder that gives a feature map, alone or beside tokens."""

    def gives(_: Encoder, x: object) -> object:
        found = x.normed[:, 1:].transpose(1, 2).reshape(1, *SHAPE)  # type: ignore[attr-defined]
        return {"tokens": x.last, "map": found} if several else found  # type: ignore[attr-defined]

    graph = hlsgen.capture(Encoder(gives).eval(), pictures(1))
    return hlsgen.quantize(graph, pictures(32)).graph


def golden(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    return results(graph, quantize_images(images, graph.input_type))


def turned(tokens: np.ndarray) -> np.ndarray:
    """[N, 6, C] as [N, C, 2, 3]."""
    return tokens.transpose(0, 2, 1).reshape(len(tokens), *SHAPE)


def test_a_design_predicts_the_map(tmp_path: Path) -> None:
    graph = mapped(False)
    samples = Samples(quantize_images(pictures(2), graph.input_type))
    design = hlsgen.compile(graph, samples=samples, board="ulx3s-85f", array="4x4x8")
    kept = Design.load(design.save(tmp_path / "x").directory or "")
    assert kept.graph.views == graph.views != ()
    found = kept.predict(pictures(3))
    assert isinstance(found, np.ndarray)
    expected = turned(golden(graph, pictures(3))[""])
    np.testing.assert_array_equal(found, expected * kept.scales()[""])
    assert kept.simulate("program", samples=1).images == 1


def test_the_python_driver_shows_the_map(tmp_path: Path) -> None:
    graph, images = mapped(True), pictures(2)
    found, values = lower(graph, ARRAYS["plain"]), golden(mapped(True), images)
    integers = quantize_images(images, graph.input_type)
    vectors = Vectors(images=integers, outputs=values["tokens"], others=(values["map"],))
    module, device = build_files(graph, found, vectors, tmp_path), Device(found)
    accelerator = module.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == 2
    shown = accelerator.predict(images)
    np.testing.assert_array_equal(shown["tokens"], values["tokens"])
    np.testing.assert_array_equal(shown["map"], turned(values["map"]))
    np.testing.assert_array_equal(accelerator.run(integers[0])["map"], values["map"][0])


def test_a_view_beyond_the_tensor_is_refused() -> None:
    graph = mapped(False)
    (view,) = graph.views
    assert view is not None
    for wrong in (
        dataclasses.replace(view, start=1),
        dataclasses.replace(view, strides=(-1, WIDTH)),
        dataclasses.replace(view, shape=(WIDTH, 2, 2)),
        View((0,), (0,), (1,)),
    ):
        with pytest.raises(TypeMismatch, match="View"):
            dataclasses.replace(graph, views=(wrong,)).verify()
    with pytest.raises(TypeMismatch, match="1 outputs must have as many views, not 2"):
        dataclasses.replace(graph, views=(view, view)).verify()
