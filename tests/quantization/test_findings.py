# SPDX-License-Identifier: Apache-2.0
"""What a user is told: losses that a constant part hides, constant outputs, classes that change, clipping."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit

import hlsgen
from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, TensorType, evaluate
from hlsgen.ops import AddConstant
from hlsgen.quantization import QuantizeConfig, Report, TensorReport, quantize
from hlsgen.quantization.findings import clip_warning, output_warnings

SHAPE = Vit(width=48, heads=4, blocks=1, hidden=64)
PLAIN = QuantizeConfig(norm_factors="off")
ROW = TensorReport("head", "IntegerLinear", -1.0, 1.0, 0.01, 16, 0, 10, 30.0, 30.0)


def outlier(size: float) -> Graph:
    """A vision transformer with one channel of the class token at `size`."""
    graph = random_vit(SHAPE)
    (op,) = (node.op for node in graph if isinstance(node.op, AddConstant))
    op.value[0, 9] = size
    return graph


def test_centred_figures_take_the_mean_over_images_away() -> None:
    data = images(SHAPE, 40)
    quantized = quantize(random_vit(SHAPE), data, QuantizeConfig(batch=7))
    floats = evaluate(quantized.reference, data)
    golden = evaluate(quantized.graph, quantized.quantize_input(data))
    for row in quantized.report.tensors:
        if row.name.endswith("fc1"):
            continue  # it counts where GELU shows it: test_shown.py
        reference = floats[row.name]
        error = quantized.dequantize(row.name, golden[row.name]) - reference
        signal, noise = (((x - x.mean(0)) ** 2).sum() for x in (reference, error))
        assert row.centred_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-6)


def test_a_class_token_s_outlier_no_longer_hides_the_loss() -> None:
    report = quantize(outlier(200.0), images(SHAPE, 64), PLAIN).report
    head = report.tensor("head")
    assert head.sqnr_db > 25
    assert head.centred_db is not None
    assert head.centred_db < 0
    (warning,) = (text for text in report.warnings if "differs between images" in text)
    assert warning.startswith(
        f"of what differs between images %head keeps only {head.centred_db:.1f} dB above its quantization "
        f"error ({head.sqnr_db:.1f} dB with what all images share); the first tensor below 10 dB is %"
    )
    assert "try QuantizeConfig(overrides={" in warning


def test_a_model_without_outliers_gets_no_warning() -> None:
    warnings = quantize(outlier(0.5), images(SHAPE, 64)).report.warnings
    assert [text for text in warnings if not text.startswith("ranges still grew")] == []


def test_one_image_has_no_centred_figures() -> None:
    report = quantize(random_vit(SHAPE), images(SHAPE, 1)).report
    assert {row.centred_db for row in report.tensors} == {None}
    assert "centred figures need two images or more" in str(report)
    assert report.as_dict()["tensors"][0]["centred_db"] is None


def test_factors_of_norms_keep_what_an_outlier_would_hide() -> None:
    head = quantize(outlier(200.0), images(SHAPE, 64)).report.tensor("head")
    assert head.centred_db is not None
    assert head.centred_db > 10


def test_warnings_are_python_s_too() -> None:
    with pytest.warns(QuantizationWarning, match="of what differs between images %head") as caught:
        quantized = hlsgen.quantize(outlier(200.0), images(SHAPE, 64), PLAIN)
    assert [str(item.message) for item in caught] == list(quantized.report.warnings)
    assert {item.filename for item in caught} == {__file__}


def _logits(count: int = 32, classes: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (count, 1, classes))


def test_classes_that_change_are_said_unless_ties_explain_them() -> None:
    reference = _logits()
    golden = np.floor(reference * 1000).astype(np.int64)
    golden[:9] = -golden[:9]
    noisy = replace(ROW, sqnr_db=22.0, centred_db=16.0)
    (text,) = output_warnings([noisy], "head", golden, reference)
    assert text.startswith("%head gives the float model's class in only 23 of 32 cases; try more calibration")
    golden[1:9] = -golden[1:9]
    assert output_warnings([noisy], "head", golden, reference) == []
    golden[:9] = -golden[:9]
    assert output_warnings([replace(ROW, centred_db=20.0)], "head", golden, reference) == []


def test_constant_outputs_are_said() -> None:
    reference, same = _logits(), np.ones((32, 1, 5), np.int64)
    cases = (
        (same * 0, reference, "%head is zero for all 32 measured images, in the float model up to 2."),
        (same, reference, "%head is the same for all 32 measured images, but not in the float model: "),
        (
            same,
            np.ones_like(reference),
            "%head is the same for all 32 measured images, in the float model too",
        ),
    )
    for golden, floats, text in cases:
        (warning,) = output_warnings([ROW], "head", golden, floats)
        assert warning.startswith(text)
        assert "try " in warning


def test_identical_images_are_said() -> None:
    report = quantize(random_vit(SHAPE), np.repeat(images(SHAPE, 1), 40, 0)).report
    assert any(
        "%head is the same for all 40 measured images, in the float model too" in w for w in report.warnings
    )


def test_clipped_images_are_said_with_their_share() -> None:
    kind = TensorType((1, 8, 8), -128, 127, 2 / 127)
    x = images(SHAPE, 32)
    assert clip_warning(x, kind, "the kept samples") == ""
    share = 100 * np.mean((x * 10 > 127.5 * 2 / 127) | (x * 10 < -128.5 * 2 / 127))
    assert clip_warning(x * 10, kind, "the kept samples") == (
        f"{share:.1f} % of the pixels of the kept samples lie outside the calibrated input range -2.016..2 "
        "and are clipped; try calibration images that are like them, or prepare both alike (the same "
        "normalisation)"
    )


def test_a_report_without_noise_is_plain_data() -> None:
    row = replace(ROW, centred_db=math.inf)
    assert Report((row,), (), 2, 2).as_dict()["tensors"][0]["centred_db"] is None
