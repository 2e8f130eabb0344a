# SPDX-License-Identifier: Apache-2.0
"""The way through in Python: capture, quantize, compile; predict and trace."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hlsgen
from hlsgen import Design
from hlsgen.errors import ClippedInput, DoesNotFit, UsageError
from hlsgen.fit.options import parse_array
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import evaluate, quantize_images
from hlsgen.store.samples import KEPT, make_samples, warn_of_clipped


def test_integers_are_as_good_as_floats(design: Design) -> None:
    """The bars: top-1 within 0.3 points of float on all held-out images, logits of at least 30 dB."""
    accuracy = design.report().accuracy
    assert accuracy.images == 397
    assert accuracy.integer is not None
    assert accuracy.float is not None
    assert accuracy.float >= 0.98 * 397
    assert abs(accuracy.integer - accuracy.float) <= 0.003 * 397
    assert accuracy.logits_db is not None
    assert accuracy.logits_db >= 30


def test_predict_is_golden_in_real_numbers(design: Design) -> None:
    data = load_data("digits", heldout=True)
    logits = design.predict(data.images[:70])
    assert isinstance(logits, np.ndarray)
    assert logits.shape == (70, 10)
    scale = design.graph.type_of(design.graph.output).scale or 0.0
    np.testing.assert_array_equal(logits, design.logits(design.samples.images[:70]) * scale)
    np.testing.assert_array_equal(design.predict(data.images[3]), logits[3:4])


def test_trace_has_every_tensor(design: Design) -> None:
    images = load_data("digits", heldout=True).images[:2]
    tensors = design.trace(images)
    assert list(tensors) == [design.graph.input, *(node.name for node in design.graph)]
    for node in design.graph:
        assert tensors[node.name].shape == (2, *node.type.shape)
        low, high = node.type.integer_range
        assert low <= tensors[node.name].min()
        assert tensors[node.name].max() <= high


def test_compile_refuses_what_does_not_fit(design: Design) -> None:
    with pytest.raises(DoesNotFit):
        hlsgen.compile(design.graph, board="ulx3s-85f", array="16x16x8")
    with pytest.raises(UsageError, match="array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '4x4'"):
        hlsgen.compile(design.graph, array="4x4")
    assert parse_array("1x2x4") == (1, 2, 4)


def test_compile_without_samples_makes_some(design: Design) -> None:
    made = hlsgen.compile(design.graph, array=(2, 2, 2))
    assert made.simulate("program", samples=1).images == 1
    assert made.report().accuracy.logits_db is None


def test_images_are_rounded_half_up_and_saturated(design: Design) -> None:
    kind = dataclasses.replace(design.graph.input_type, scale=0.5)
    image = np.zeros((1, 8, 8))
    image[0, 0, :6] = [0.25, -0.25, 0.7, 1000, -1000, 0.24]
    said = r"3\.1% of the pixels are clipped, in 1 of 1 images: they lie outside -64\.\.63\.5"
    with pytest.warns(ClippedInput, match=said):
        warn_of_clipped(image, kind)
    integers = quantize_images(image, kind)
    np.testing.assert_array_equal(integers[0, 0, :6], [1, 0, 1, 127, -128, 0])
    with pytest.raises(UsageError, match=re.escape("images must have shape [N, 1, 8, 8], not [2, 8, 8]")):
        quantize_images(np.zeros((2, 8, 8)), kind)
    with pytest.raises(UsageError, match="images must be finite real numbers"):
        quantize_images(np.full((1, 8, 8), np.nan), kind)


def test_a_folder_keeps_a_bounded_number_of_images() -> None:
    from hlsgen.ir import GraphBuilder, TensorType
    from hlsgen.ops import Patches

    real, integer = (
        GraphBuilder("image", kind) for kind in (TensorType((1, 2, 2)), TensorType((1, 2, 2), -128, 127, 1.0))
    )
    first, second = (
        made.finish(made.add("patches", Patches(patch=(2, 2)), ["image"])) for made in (real, integer)
    )
    samples = make_samples(first, second, np.ones((KEPT + 1, 1, 2, 2), np.float32))
    assert len(samples) == KEPT


def test_golden_runs_once_over_the_samples(design: Design, tmp_path: Path, monkeypatch: Any) -> None:
    import hlsgen.store.compiled as module

    seen: list[int] = []

    def counted(graph: Any, images: np.ndarray, **rest: Any) -> Any:
        seen.append(len(images))
        return results(graph, images, **rest)

    from hlsgen.ir import results

    monkeypatch.setattr(module, "results", counted)
    bare = dataclasses.replace(design, samples=design.samples.first(5), _known={})
    bare.save(tmp_path / "once").report()
    assert seen == [4]  # the first one with all its tensors
    golden, tensors = bare.sample_golden
    np.testing.assert_array_equal(golden[""].reshape(5, -1), design.logits(design.samples.images[:5]))
    assert tensors.keys() == evaluate(design.graph, design.samples.images[0]).keys()
    other = dataclasses.replace(bare, samples=design.samples.first(2))
    assert len(other.sample_golden[0][""]) == 2  # what is known is of other samples


def test_a_design_is_shown_in_a_line(design: Design) -> None:
    assert re.fullmatch(
        r"Design\('digits', board='ulx3s-85f', array=4x4x8, commands=\d+, samples=397, directory='.*'\)",
        repr(design),
    )


_NO_TORCH = """
import sys
sys.modules["torch"] = None
from hlsgen.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--array", "8x8"), 2, "array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '8x8'"),
        (("--board", "nexys"), 2, "board must be one of kv260, "),
        (("--array", "3x4x8", "--row-width", "2"), 2, "row_width must be a power of two that divides rows"),
        (("--attention", "streamed"), 2, "attention must be resident on ulx3s-85f"),
        (("--array", "16x16x16"), 4, "the 16x16x16 array must need at most 143 DSP blocks on ulx3s-85f"),
        (("-o", "FILE"), 2, "FILE must be a folder, not a file"),
        (("-o", "FILE/below"), 2, "FILE must be a folder, not a file"),
        (("-o", "FOREIGN"), 2, "FOREIGN must be empty, new, or a build folder of hlsgen"),
        (("-o", "/proc/nowhere"), 2, "/proc/nowhere can't be written"),
        (("--calibration", "/nowhere.npy"), 2, "there is no data '/nowhere.npy'"),
        (("--samples", "/nowhere.npy"), 2, "there is no data '/nowhere.npy'"),
    ],
)
def test_what_is_wrong_is_said_before_pytorch_is_loaded(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/mine").touch()
    names = {"FILE": str(tmp_path / "file"), "FOREIGN": str(tmp_path / "foreign")}

    def named(text: str) -> str:
        for name, path in names.items():
            text = text.replace(name, path)
        return text

    given = ["-o", str(tmp_path / "new"), *map(named, arguments)]
    command = [sys.executable, "-c", _NO_TORCH, "compile", "deit-tiny", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert named(message) in done.stderr
    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "foreign"]


def test_all_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        hlsgen.build("digits", "/proc/x", board="nexys", array="4x4", span=-1)
    assert [problem.what.split(",")[0] for problem in caught.value.problems] == [
        "board must be one of kv260",
        "array must be ROWSxCOLUMNSxDEPTH",
    ]
