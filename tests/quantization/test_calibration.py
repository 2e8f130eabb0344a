# SPDX-License-Identifier: Apache-2.0
"""Calibration data: what is refused, what is warned about, streaming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit

from hlsgen.errors import CalibrationError, UsageError
from hlsgen.ir import BATCH_ELEMENTS, batch_size
from hlsgen.ops import Linear
from hlsgen.progress.steps import Listener, Step, listening
from hlsgen.quantization import QuantizeConfig, Report, quantize
from hlsgen.quantization.calibrate import FEWEST_MEASURED, MEASURED_ELEMENTS, Sample, sample_size
from hlsgen.store.graph_file import digest

SHAPE = Vit(blocks=1)
GRAPH = random_vit(SHAPE)


def _message(calibration: object) -> str:
    with pytest.raises(CalibrationError) as caught:
        quantize(GRAPH, calibration)  # type: ignore[arg-type]
    return str(caught.value)


def _report(calibration: np.ndarray) -> Report:
    return quantize(GRAPH, calibration).report


def test_no_data_is_refused() -> None:
    for nothing in (np.zeros((0, 1, 8, 8)), [], iter([]), [np.zeros((0, 1, 8, 8))]):
        what, fix = _message(nothing).split("\n")
        assert what == "calibration must hold at least one image"
        assert fix == "  fix: pass 32 images or more, some hundreds if possible"


def test_wrong_shapes_and_types_are_refused() -> None:
    fix = "\n  fix: pass images prepared as for the model: the same layout and normalisation"
    good = images(SHAPE, 4)
    assert _message(good[0]) == f"calibration must have shape [N, 1, 8, 8], not [1, 8, 8]{fix}"
    assert (
        _message(good.transpose(0, 2, 3, 1))
        == f"calibration must have shape [N, 1, 8, 8], not [4, 8, 8, 1]{fix}"
    )
    assert _message([good, good[:, :, :4]]) == (
        f"calibration item 1 must have shape [N, 1, 8, 8], not [4, 1, 4, 8]{fix}"
    )
    assert _message([(good, 3)]) == f"calibration item 0 must be an array [N, 1, 8, 8], not tuple{fix}"
    assert _message(None) == f"calibration must be an array [N, 1, 8, 8], not NoneType{fix}"
    assert _message(good.astype(np.complex64)) == f"calibration must hold real numbers, not complex64{fix}"
    assert "must hold real numbers, not" in _message(good.astype(str))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(value: float) -> None:
    bad = images(SHAPE, 6)
    bad[4, 0, 3, 5] = value
    assert _message([bad[:3], bad[3:]]) == (
        f"calibration item 1 must be finite, not {value} at [1, 0, 3, 5]\n  fix: remove or repair the image"
    )


def test_images_that_overflow_the_model_are_refused() -> None:
    assert _message(images(SHAPE, 4) * 1e32).startswith(
        "%image must stay below 1e+30 on calibration images, not reach "
    )
    huge = random_vit(replace(SHAPE, seed=1))
    for node in huge:
        if isinstance(node.op, Linear):
            node.op.weight[:] *= 1e200
    with pytest.raises(CalibrationError, match=r"%patch_embed must stay below 1e\+30"):
        quantize(huge, images(SHAPE, 4))


def test_few_images_are_warned_about() -> None:
    assert (
        _report(images(SHAPE, 31)).warnings[0]
        == "too few samples: 31 calibration images, 32 or more are advised"
    )
    assert not any("too few" in w for w in _report(images(SHAPE, 32)).warnings)


def test_unnormalised_inputs_are_warned_about() -> None:
    raw = images(SHAPE, 32)
    assert (
        "inputs look un-normalised: values up to 255, not within -50..50"
        in _report(np.clip(raw * 200 + 128, 0, 255)).warnings
    )
    (warning,) = (w for w in _report(raw + 30).warnings if "un-normalised" in w)
    assert warning == "inputs look un-normalised: mean 29.98 beside a standard deviation of 0.5998"
    assert "inputs look un-normalised: every value is 0.5" in _report(np.full_like(raw, 0.5)).warnings
    assert not any("un-normalised" in w for w in _report(raw).warnings)


def test_ranges_that_still_grow_are_warned_about() -> None:
    steady = np.concatenate([images(SHAPE, 16)] * 4)
    assert _report(steady).warnings == ()
    growing = steady.copy()
    growing[60, 0, 0, 0] = 2.6
    (warning,) = _report(growing).warnings
    assert warning.startswith("ranges still grew in the last quarter of the 64 images: %image by 30 %")
    early = steady.copy()
    early[40, 0, 0, 0] = 2.6
    assert _report(early).warnings == ()


def test_streaming_in_any_pieces_gives_the_same_graph_and_report() -> None:
    data = images(SHAPE, 90)
    whole = quantize(GRAPH, data)
    for pieces in (
        (b for b in np.array_split(data, 11)),
        [data[:1], data[1:1], data[1:]],
        data.astype(np.float64),
    ):
        streamed = quantize(GRAPH, pieces)
        assert digest(streamed.graph) == digest(whole.graph)
        assert streamed.report.warnings == whole.report.warnings


def test_who_waits_is_told_how_many_images_were_seen() -> None:
    told: list[tuple[str, int, int]] = []

    class Told(Listener):
        def end(self, step: Step) -> None:
            told.append((step.name, step.done, step.total))

    with listening(Told()):
        quantize(random_vit(Vit()), images(SHAPE, 40), QuantizeConfig(batch=16, measured_images=8))
    assert ("observe", 40, 40) in told
    name, done, total = told[-1]
    assert (name, done) == ("measure", total)
    assert 0 < done <= 8


def test_the_sample_is_bounded_and_evenly_spaced() -> None:
    sample = Sample(10)
    for batch in np.array_split(np.arange(57)[:, None], 8):
        sample.update(batch)
    assert sample.images().ravel().tolist() == list(range(0, 57, 8))
    report = quantize(GRAPH, images(SHAPE, 90), QuantizeConfig(measured_images=30)).report
    assert (report.images, report.measured) == (90, 23)


def test_batches_shrink_for_large_graphs() -> None:
    assert batch_size(GRAPH, 64) == 64
    large = random_vit(Vit(blocks=1, image=(1, 32, 32)))
    assert 1 <= batch_size(large, 64) < 64
    assert batch_size(large, 64) * sum(np.prod(n.type.shape) for n in large) <= BATCH_ELEMENTS


def test_errors_of_large_models_are_measured_on_fewer_images() -> None:
    assert sample_size(GRAPH, 256) == 256
    large = random_vit(Vit(blocks=2, width=64, image=(1, 128, 128), patch=(4, 4)))
    elements = sum(np.prod(n.type.shape) for n in large) + 128 * 128
    assert sample_size(large, 256) == MEASURED_ELEMENTS // elements < 256
    assert sample_size(large, 3) == 3
    huge = replace(large, nodes=large.nodes * 12)
    assert sample_size(huge, 256) == FEWEST_MEASURED


def test_wrong_configurations_are_refused_all_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        QuantizeConfig(
            logit_width=13, batch=0, weights="best", overrides={"head": "percentile:1"}, activation_bits=7,
            numerator_bits=13,
            activation_overrides={"*": 13},
        )  # fmt: skip
    assert [problem.what for problem in caught.value.problems] == [
        "activation_bits must be in 8..12, not 7",
        "logit_width must be in 8..12, not 13",
        "numerator_bits must be in 8..12, not 13",
        "batch must be positive, not 0",
        "activation_overrides['*'] must be in 8..12, not 13",
        "weights: observer must be min-max, percentile, percentile:P, mse or mse:P, not 'best'",
        "overrides['head']: percentile must be in 50..100, not '1'",
    ]
