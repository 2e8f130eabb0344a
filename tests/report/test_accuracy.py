# SPDX-License-Identifier: Apache-2.0
"""The accuracy of a report: as it was evaluated last, else on the stored samples."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.experts import Shape, make
from support.folders import design, verilog

from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.display.share import Share
from hlsgen.emit.contents import save
from hlsgen.pipeline import compile as compile_graph
from hlsgen.report.report import Report
from hlsgen.store.evaluated import Evaluated, Noise, Shares, store
from hlsgen.store.samples import Samples

SHARES = Shares(float_first=Share(388, 397), first=Share(387, 397), same=Share(396, 397))
FOUND = Evaluated(
    images=397,
    level="rtl",
    simulator="verilator",
    shares=SHARES,
    outputs=(Noise(name="head", db=41.25, centred_db=38.5),),
)
LINES = [
    "evaluated  397 images, rtl (verilator)",
    "accuracy   top-1, float: 97.73% (388 of 397; 95.7% to 98.8%)",
    "accuracy   top-1, integer: 97.48% (387 of 397; 95.4% to 98.6%)",
    "accuracy   same class, integer as float: 99.75% (396 of 397; 98.6% to 100.0%)",
    "noise      head: 41.2 dB, 38.5 dB without what images share",
]


@pytest.fixture
def saved(tmp_path: Path) -> Design:
    return save(design(), tmp_path / "build", verilog)


def accuracy(report: Report) -> list[str]:
    heads = ("evaluated", "accuracy", "noise", "logits", "output")
    return [line for line in str(report).splitlines() if line.startswith(heads)]


def headline(report: Report) -> dict[str, str]:
    """Labels and values on top of the page."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", report.html())
    return {html.unescape(label): html.unescape(value) for label, value in pairs}


def test_evaluated_figures_take_the_place_of_the_samples(saved: Design) -> None:
    before = saved.report()
    assert accuracy(before)[0].startswith("accuracy   float 100.00 %, integer ")
    assert accuracy(before)[0].endswith(" of 3 images")
    assert headline(before)["accuracy, float"] == "100.00% of 3"
    assert "evaluated" not in before.data
    store(saved, 0, FOUND)
    report = saved.report()
    assert accuracy(report) == LINES
    shown = headline(report)
    assert shown["evaluated"] == "397 images, rtl (verilator)"
    assert shown["top-1, integer"] == "97.48% (387 of 397; 95.4% to 98.6%)"
    assert (shown["head"], shown["head, mean over images taken away"]) == ("41.2 dB", "38.5 dB")
    assert not {"accuracy, float", "accuracy, integer", "logits"} & set(shown)
    assert report.data["evaluated"] == {"0": FOUND.data()}
    assert json.loads(json.dumps(report.data))["accuracy"] == before.data["accuracy"]


def test_the_verb_says_it_and_forgets_it_with_the_design(
    saved: Design, capsys: pytest.CaptureFixture[str]
) -> None:
    store(saved, 0, FOUND)
    assert main(["report", str(saved.directory)]) == 0
    assert "\n".join(LINES) in capsys.readouterr().out
    assert saved.directory is not None
    again = save(design(seed=3), saved.directory, verilog)
    assert "evaluated" not in str(again.report())
    assert "evaluated" not in headline(again.report())


def test_an_error_of_none_and_a_single_image(saved: Design) -> None:
    exact = Noise(name="head", db=None, centred_db=None)
    store(saved, 0, replace(FOUND, images=1, level="golden", simulator="", shares=Shares(), outputs=(exact,)))
    report = saved.report()
    assert accuracy(report) == ["evaluated  1 image, golden", "noise      head: equal to the float model"]
    assert headline(report)["head"] == "as float"


def test_low_agreement_is_that_of_the_images_evaluated(saved: Design) -> None:
    noisy = (Noise(name="head", db=9.0, centred_db=5.0),)
    store(saved, 0, replace(FOUND, shares=replace(SHARES, same=Share(200, 397)), outputs=noisy))
    (text,) = saved.report().warnings
    assert "the float model's class of only 200 of 397 images evaluated" in text
    store(saved, 0, FOUND)
    assert saved.report().warnings == ()


def test_tasks_are_told_apart(tmp_path: Path) -> None:
    """The stored samples are the first task's: they stay where only another one was evaluated."""
    made = make(Shape(tasks=2))
    compiled = compile_graph(made.quantized, board="zcu102", array="4x4x8", samples=Samples(made.images[:2]))
    two = save(compiled, tmp_path / "build", verilog)
    several = Evaluated(images=8, level="golden", simulator="", shares=Shares(), outputs=FOUND.outputs)
    stored = accuracy(two.report())
    store(two, 1, several)
    mine = [
        "evaluated  task 1, 8 images, golden",
        "noise      task 1, head: 41.2 dB, 38.5 dB without what images share",
    ]
    assert accuracy(two.report()) == [*stored, *mine]
    store(two, 0, replace(FOUND, outputs=()))
    assert accuracy(two.report())[-2:] == mine
    assert "evaluated  task 0, 397 images, rtl (verilator)" in accuracy(two.report())
    assert headline(two.report())["task 1, evaluated"] == "8 images, golden"
