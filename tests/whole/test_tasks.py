# SPDX-License-Identifier: Apache-2.0
"""The trained multi-task example: accuracy of both tasks in integers; the way through the build folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hlsgen
from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.examples.digits.data import calibration, heldout, patch_kinds
from hlsgen.examples.digits.moe import WEIGHTS, digits_moe
from hlsgen.pipeline import build

IMAGES, LABELS = heldout()
WANTED = (LABELS[:, None], patch_kinds(IMAGES))


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return build("digits-moe", tmp_path_factory.mktemp("moe") / "build", board="zcu102", array="4x4x8")


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 500_000


@pytest.mark.parametrize("task", [0, 1])
def test_integers_are_within_half_a_point_of_float(design: Design, task: int) -> None:
    model = digits_moe()
    with torch.no_grad():
        floats = model(torch.from_numpy(IMAGES), task)[task].numpy()
    classes = floats.shape[-1]
    integers = np.asarray(design.predict(IMAGES, task)).reshape(len(IMAGES), -1, classes)
    exact = 100 * float((floats.reshape(integers.shape).argmax(-1) == WANTED[task]).mean())
    found = 100 * float((integers.argmax(-1) == WANTED[task]).mean())
    print(f"task {task}: float {exact:.2f} %, integer {found:.2f} %")
    assert exact > 97.5
    assert abs(found - exact) <= 0.5


def test_every_expert_is_used_and_routing_agrees() -> None:
    quantized = hlsgen.quantize(hlsgen.capture(digits_moe(), (IMAGES[:1], 0)), calibration()[0])
    assert len(quantized.report.routing) == 4
    for item in quantized.report.routing:
        assert item.agreeing > 0.95 * item.tokens
        assert sum(item.load) == 2 * item.tokens
    names = {item.name for item in quantized.report.routing}
    for name in names:
        load = np.sum([item.load for item in quantized.report.routing if item.name == name], 0)
        assert load.min() > 0


@pytest.mark.parametrize("level", ["program", "csim", "rtl", pytest.param("soc", marks=pytest.mark.slow)])
def test_both_tasks_at_every_level(design: Design, level: str, capsys: pytest.CaptureFixture[str]) -> None:
    samples = "8" if level == "soc" else "2"
    assert main(["simulate", str(design.directory), "--level", level, "--samples", samples]) == 0
    shown = capsys.readouterr().out
    assert shown.count("all equal to golden") == 2
    assert shown.startswith("task 0")


def test_a_saved_design_has_its_tasks(design: Design) -> None:
    assert design.directory is not None
    loaded = Design.load(Path(design.directory))
    assert loaded.graph.tasks == 2
    assert loaded.program == design.program
    np.testing.assert_array_equal(loaded.predict(IMAGES[:3], 1), design.predict(IMAGES[:3], 1))
