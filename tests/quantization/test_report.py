# SPDX-License-Identifier: Apache-2.0
"""The report: its figures recomputed, its text and its plain data."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
from quantization.graphs import Vit, images, random_vit

from hlsgen.ir import evaluate
from hlsgen.quantization import QuantizeConfig, Report, TensorReport, quantize

SHAPE = Vit(blocks=1)


def test_ranges_and_noise_are_those_of_the_calibration_images() -> None:
    data = images(SHAPE, 100)
    quantized = quantize(random_vit(SHAPE), data, QuantizeConfig(batch=7))
    floats = evaluate(quantized.reference, data)
    golden = evaluate(quantized.graph, quantized.quantize_input(data))
    assert [row.name for row in quantized.report.tensors] == list(golden)
    for row in quantized.report.tensors:
        reference, value = floats[row.name], quantized.dequantize(row.name, golden[row.name])
        if not row.name.endswith("scores"):
            assert (row.low, row.high) == (reference.min(), reference.max())
        noise = ((value - reference) ** 2).sum()
        plain = 10 * math.log10((reference**2).sum() / noise)
        if row.name.endswith("fc1"):  # what GELU does not show is no noise: test_shown.py
            assert row.sqnr_db >= plain
        else:
            assert math.isclose(row.sqnr_db, plain, abs_tol=1e-6)
        assert row.elements == reference.size
        kind = quantized.graph.type_of(row.name)
        assert (row.scale, row.bits) == (kind.scale, kind.bits)


def test_saturation_counts_what_lies_outside() -> None:
    data = images(SHAPE, 64)
    config = QuantizeConfig(image="percentile:95", overrides={"*fc1": "min-max"})
    quantized = quantize(random_vit(SHAPE), data, config)
    row = quantized.report.tensor("image")
    outside = (data > 127.5 * row.scale) | (data < -128.5 * row.scale)
    assert row.saturated == outside.sum()
    assert 0.03 < row.saturated / row.elements < 0.06
    assert quantized.report.tensor("blocks_0_mlp_fc1").saturated <= 2


def test_text_has_a_line_per_tensor_and_ends_with_the_warnings() -> None:
    report = quantize(random_vit(SHAPE), images(SHAPE, 8)).report
    lines = str(report).splitlines()
    titles = "tensor lowest highest scale bits saturated SQNR dB centred"
    assert lines[0].split() == titles.split()
    assert [line.split()[0] for line in lines[1 : 1 + len(report.tensors)]] == [
        r.name for r in report.tensors
    ]
    assert "measured on 8 of 8 calibration images" in lines
    assert lines[-len(report.warnings) :] == [f"warning: {warning}" for warning in report.warnings]
    assert report.warnings


def test_plain_data_is_json_without_infinities() -> None:
    row = TensorReport("image", "input", -1.0, 1.0, 0.01, 8, 0, 10, math.inf)
    report = Report((row, replace(row, name="x", sqnr_db=30.5)), ("w",), 4, 4)
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert [tensor["sqnr_db"] for tensor in data["tensors"]] == [None, 30.5]
    assert data["warnings"] == ["w"]


def test_dead_tensors_have_no_noise() -> None:
    shape = Vit(blocks=1)
    graph = random_vit(shape)
    for node in graph:
        if node.name == "blocks_0_attn_v":
            node.op.weight[:] = 0  # type: ignore[attr-defined]
            node.op.bias[:] = 0  # type: ignore[attr-defined]
        elif node.name == "blocks_0_norm1":
            np.copyto(node.op.beta, 0)  # type: ignore[attr-defined]
    report = quantize(graph, images(shape, 32)).report
    assert report.tensor("blocks_0_context").sqnr_db == math.inf
    assert report.tensor("head").sqnr_db > 26
