# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of `python -m benchmarks.accuracy`, its options, its files; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from benchmarks.accuracy import bars, figures, options, pairs, results, table
from benchmarks.accuracy.dino import backbone
from benchmarks.accuracy.downloads import Stored, Wheel, read
from benchmarks.accuracy.muon import orthogonal
from benchmarks.accuracy.score import Judge
from benchmarks.accuracy.subjects import Subject
from hlsgen.errors import UsageError
from hlsgen.examples.digits.data import calibration, heldout
from hlsgen.examples.digits.moe import digits_moe
from hlsgen.pipeline import capture
from hlsgen.quantization.config import QuantizeConfig

TINY = np.array([[[3.0, 4.0]], [[3.0, -4.0]]])
"""Two images of one row: three of what they share, four of what differs."""
ERROR = np.array([[[0.1, 0.1]], [[-0.1, 0.1]]])


def test_decibels_of_a_known_error() -> None:
    """Signal 50; an error of 0.1 in all four elements is 0.04."""
    found = figures.features("x", TINY + ERROR, TINY)
    assert found.db == pytest.approx(10 * np.log10(50 / 0.04))
    assert found.centred_db == pytest.approx(10 * np.log10(32 / 0.02))
    assert found.least_cosine <= found.cosine < 1.0


def test_an_error_that_all_images_share_is_no_centred_error() -> None:
    found = figures.features("x", TINY + np.array([1.0, 0.0]), TINY)
    assert found.db == pytest.approx(10 * np.log10(50 / 2))
    assert found.centred_db is None
    assert figures.features("x", TINY, TINY).cosine == pytest.approx(1.0)


def test_the_interval_of_a_paired_difference() -> None:
    """9 of 100 images are right in the first model only, 1 in the second only."""
    first = np.arange(100) < 90
    second = (np.arange(100) >= 9) & (np.arange(100) < 91)
    found = figures.difference(first, second)
    assert found.value == pytest.approx(0.08)
    shares = 10 / 102, 2 / 102
    half = 1.959964 * np.sqrt((sum(shares) - (shares[0] - shares[1]) ** 2) / 102)
    assert found.low == pytest.approx(shares[0] - shares[1] - half, abs=1e-6)
    assert found.high == pytest.approx(shares[0] - shares[1] + half, abs=1e-6)
    other = figures.difference(second, first)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_classes_of_both_models() -> None:
    """Of equal logits the first class wins."""
    real = np.array([[[2.0, 1.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
    found = np.array([[[1.0, 1.0]], [[0.0, 1.0]], [[2.0, 1.0]]])
    got = figures.classes(found, real, np.array([0, 1, 1]))
    assert (got.same.count, got.same.of) == (2, 3)
    assert got.floats is not None
    assert got.floats.count == 3
    assert got.integers is not None
    assert got.integers.count == 2
    assert got.drop is not None
    assert got.drop.value == pytest.approx(1 / 3)
    assert figures.classes(found, real, None).drop is None


def test_options_are_fields_of_the_configuration() -> None:
    settings = ["centred=true", "logit_width=12", "activations=percentile:99.9", 'overrides={"x" = "mse"}']
    wanted = QuantizeConfig(
        centred=True, logit_width=12, activations="percentile:99.9", overrides={"x": "mse"}
    )
    assert options.config(settings) == wanted
    assert options.config([]) == QuantizeConfig()
    assert options.called([]) == options.DEFAULTS


@pytest.mark.parametrize("text", ["centred", "nothing=1", "=1"])
def test_other_options_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="field of QuantizeConfig") as caught:
        options.config([text])
    assert "logit_width" in caught.value.problems[0].fix


@pytest.fixture(scope="module")
def judge() -> Judge:
    images, labels = heldout()
    graph = capture(digits_moe(), (images[:1], 0))
    subject = Subject(graph=graph, calibration=calibration()[0][:32], images=images, labels=(labels, None))
    return Judge("digits-moe", subject, 24)


def test_a_score_has_every_figure(judge: Judge, tmp_path: Path) -> None:
    plain, coarse = (judge.score(options.config(row), "") for row in ([], ["residual_bits=9"]))
    assert plain.images == 24
    assert [item.name for item in plain.features] == ["task 0", "task 1"]
    for one, other in zip(plain.features, coarse.features, strict=True):
        assert one.centred_db is not None
        assert other.centred_db is not None
        assert one.centred_db > other.centred_db + 3
    first, second = plain.classes
    assert first is not None
    assert first.integers is not None
    assert first.integers.of == 24
    assert second is not None
    assert second.drop is None
    assert [item.tokens for item in plain.routing] == [24 * 17] * 4
    assert json.loads(json.dumps(figures.plain([plain])))[0]["routing"][0]["tokens"] == 24 * 17
    text = "\n".join(table.lines(plain))
    assert "ties of integers" in text
    assert "lost: " in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(page, [plain])
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| digits-moe, task 0 |" in written
    page.write_text("nothing")
    with pytest.raises(ValueError, match="must hold"):
        table.write(page, [plain])


def test_scores_are_kept_with_their_sources(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = judge.score(QuantizeConfig(), options.DEFAULTS)
    results.keep([score, replace(score, subject="digits", options="centred=true")], tmp_path)
    found, wrong = results.kept(["digits", "digits-moe"], tmp_path)
    assert found == [score]
    assert wrong == ["digits: not measured yet"]
    monkeypatch.setattr(results, "sources", lambda: "others")
    assert results.kept(["digits-moe"], tmp_path)[1] == ["digits-moe: measured on other sources than these"]


def test_bars_name_what_is_below(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    score = judge.score(QuantizeConfig(), options.DEFAULTS)
    monkeypatch.setitem(bars.BARS, "digits-moe", bars.Bar(centred={"task 0": 99.0}, cosine=1.5, drop=-1.0))
    found = list(bars.missed(score))
    assert len(found) == 4
    assert "99.0 wanted" in found[0]
    monkeypatch.setitem(bars.BARS, "digits-moe", bars.Bar())
    assert not list(bars.missed(score))


def test_drawn_images_have_the_labels_of_their_patches() -> None:
    """Black digits on white paper: where no ink is, a patch has none."""
    digits = torch.zeros(2, 28, 28)
    digits[:, 6:22, 10:18] = 1.0
    source = pairs.Material(digits, torch.tensor([3, 7]), torch.full((4, 3, 32, 32), 255, dtype=torch.uint8))
    images, classes, labels = pairs.draw(source, 16, torch.Generator().manual_seed(0))
    again = pairs.draw(source, 16, torch.Generator().manual_seed(0))
    assert all(map(torch.equal, (images, classes, labels), again))
    assert images.shape == (16, 3, 32, 32)
    assert labels.shape == (16, 64)
    assert float(images.min()) >= -2.0
    assert float(images.max()) <= 2.0
    assert set(classes.tolist()) <= {33, 37, 73, 77}
    table_ = labels.reshape(16, 8, 8)
    assert bool((table_[:, :, :4] == (classes // 10)[:, None, None]).flatten(1).any(1).all())
    assert bool((table_[:, :, 4:] == (classes % 10)[:, None, None]).flatten(1).any(1).all())
    paper = images.unflatten(2, (8, 4)).unflatten(4, (8, 4)).mean((1, 3, 5)).flatten(1)
    assert float(paper[labels == pairs.BACKGROUND].min()) > 1.2


def test_crops_come_from_the_photos() -> None:
    photos = [np.full((140, 150, 3), level, np.uint8) for level in (10, 200)]
    found = pairs.crops(photos, 8, 0)
    assert found.shape == (8, 3, 32, 32)
    assert set(found.unique().tolist()) == {10, 200}


@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (3, 9)])
def test_orthogonal_steps_have_singular_values_of_about_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.4


def test_a_file_of_a_wheel_is_checked(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/b.bin", b"content")
    kind = Wheel("a", "1.0")
    assert read(wheel, Stored(kind, "a/b.bin", hashlib.sha256(b"content").hexdigest())) == b"content"
    with pytest.raises(UsageError, match=r"a/b.bin of a==1.0 is another file"):
        read(wheel, Stored(kind, "a/b.bin", "0" * 64))


def test_a_backbone_is_cut_out() -> None:
    """What comes after the tensor goes, with its weights; the batch is one image."""
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["features"]),
        helper.make_node("Add", ["features", "b"], ["more"]),
    ]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [2.0]) for name in "ab"]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])]
    outputs = [helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", 3])]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, weights))
    found = backbone(model, "features", (1, 3))
    onnx.checker.check_model(found, full_check=True)
    assert [node.op_type for node in found.graph.node] == ["Mul"]
    assert [item.name for item in found.graph.initializer] == ["a"]
    assert found.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
