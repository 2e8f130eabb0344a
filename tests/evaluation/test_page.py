# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation, read back from headless Chromium, and the verb that writes it."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.page import dom

from hlsgen.cli import main
from hlsgen.display.share import Share
from hlsgen.evaluation.evaluation import ClassFigures, Evaluation, LevelFigures, OutputFigures
from hlsgen.evaluation.page import evaluation_page, picture
from hlsgen.examples.digits.data import heldout
from hlsgen.quantization.routing import RoutingReport

HOSTILE = "</script><img src=x onerror=alert(1)>"


def _evaluation() -> Evaluation:
    output = OutputFigures(
        name=HOSTILE,
        shape=(1, 3),
        db=31.25,
        centred_db=None,
        cosine=0.99871,
        worst=((2, 7.5),),
        constant=False,
    )
    classes = ClassFigures(
        classes=3,
        same=Share(3, 4),
        first=Share(2, 4),
        confusion=((1, 0, 0), (0, 1, 2), (0, 0, 0)),
        wrong=((1, 1, 2), (3, 1, 2)),
    )
    return Evaluation(
        task=0,
        images=4,
        outputs=(output,),
        classes=classes,
        experts=(RoutingReport("route", 0, 8, 7, (3, 0, 5)),),
        clipped=1,
        reference=True,
        level=LevelFigures(level="rtl", simulator="verilator", elements=99, cycles=(1200, 1234)),
        warnings=(f"beware of {HOSTILE}",),
    )


def _rows(document: str) -> list[list[str]]:
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", document)]
    return [[html.unescape(cell) for cell in row] for row in found]


def test_the_page_shows_the_figures(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(4, 3, 5, 4)).astype(np.float32)
    place = tmp_path / "page.html"
    place.write_text(evaluation_page(HOSTILE, images, [_evaluation()]), "utf-8")
    document = dom(place)
    rows = _rows(document)
    assert ["first class, integer", "50.00 %", "2 of 4", "15.00 % to 85.00 %"] in rows
    assert ["integer class as float", "75.00 %", "3 of 4", "30.06 % to 95.44 %"] in rows
    assert ["1", "", "1", "2"] in rows
    assert [HOSTILE, "1 x 3", "31.3 dB", "-", "0.9987"] in rows
    assert ["route", "3 0 5", "7 of 8"] in rows
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", document)
    assert captions == ["image 1: 2 instead of 1", "image 3: 2 instead of 1", "image 2: 7.5 dB"]
    assert re.findall(r'<canvas width="(\d+)" height="(\d+)"', document) == [("4", "5")] * 3
    assert [html.unescape(value) for value in re.findall(r"<dd>(.*?)</dd>", document)] == [
        "4", "all integers equal to golden", "1,234", "1",
    ]  # fmt: skip
    assert "<img" not in document.replace(html.escape(HOSTILE), "")


def test_a_picture_spans_black_to_white() -> None:
    grey = picture(np.array([[[-1.0, 0.0], [1.0, 3.0]]]))
    pixels = np.frombuffer(base64.b64decode(grey["rgb"]), np.uint8).reshape(2, 2, 3)
    assert pixels.tolist() == [[[0] * 3, [64] * 3], [[128] * 3, [255] * 3]]
    colours = picture(np.arange(12.0).reshape(3, 2, 2))
    assert base64.b64decode(colours["rgb"])[:3] == bytes([0, round(4 * 255 / 11), round(8 * 255 / 11)])
    assert set(base64.b64decode(picture(np.ones((2, 3, 3)))["rgb"])) == {0}
    large = picture(np.zeros((3, 300, 200)))
    assert (large["height"], large["width"], len(base64.b64decode(large["rgb"]))) == (100, 67, 100 * 67 * 3)


def test_the_verb_gives_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All digits in RTL, each with every tensor equal."""
    build, page = str(tmp_path / "digits"), tmp_path / "page.html"
    assert main(["compile", "digits", "--array", "4x4x8", "-o", build, "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", build, "--level", "rtl", "--page", str(page), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["tasks"]
    assert found["images"] == len(heldout()[0])
    assert found["classes"]["float_first"]["count"] == 394
    assert found["classes"]["first"]["count"] == 395
    assert found["level"]["equal"]
    assert found["level"]["elements"] > 13_000_000
    assert 7_400 < found["level"]["cycles"][1] < 7_800
    wrong = len(heldout()[0]) - found["classes"]["first"]["count"]
    assert dom(page).count("<canvas") == wrong + 16


def test_the_verb_takes_other_images_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = str(tmp_path / "build")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("from hlsgen.examples.digits.model import digits as made\n")
    images, labels = heldout()
    np.savez(tmp_path / "data.npz", images=images[:6], labels=labels[:6])
    data = ["--calibration", str(tmp_path / "data.npz"), "--array", "2x2x4"]
    assert main(["compile", "mine:made", *data, "-o", build, "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", build]) == 2
    assert "images are needed" in capsys.readouterr().err
    assert main(["evaluate", build, "--data", str(tmp_path / "data.npz"), "--samples", "5"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("images     5\ntop-1      integer: ")
    assert printed.endswith("float      not known: --model names the model\n")
    asked = ["--data", str(tmp_path / "data.npz"), "--model", "mine:made"]
    assert main(["evaluate", build, *asked]) == 0
    assert "same class integer as float: 100.00% (6 of 6; " in capsys.readouterr().out
    assert main(["evaluate", build, *asked, "--page", str(tmp_path / "no" / "page.html")]) == 2
    assert "can't be written" in capsys.readouterr().err
