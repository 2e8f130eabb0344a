# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report's page in Chromium: labels, names, masks, noise; narrow, and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from support.browser import browser
from support.graphs import DIGITS, integer_vit
from support.page import cells

from hlsgen.design import Design
from hlsgen.machine.format.interface import DRAIN
from hlsgen.ops import IntegerScores
from hlsgen.ops.score_bias import is_seen
from hlsgen.pipeline import capture, quantize
from hlsgen.pipeline import compile as compile_graph
from hlsgen.store.samples import Samples

BOXES = """return [...document.querySelectorAll(arguments[0])].map((node) => {
  const box = node.getBoundingClientRect();
  return [box.left, box.top, box.right, box.bottom, node.textContent]; })"""


@pytest.fixture(scope="module")
def windowed() -> Design:
    """Three masks: sliding, strided and blocked windows of a grid of 8 x 8."""
    import torch

    from hlsgen.examples.attention.generalized_neighborhood import model

    images = np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)
    graph = capture(model(), torch.zeros(1, 3, 16, 16), compare=False)
    quantized = quantize(graph, images)
    return compile_graph(
        quantized, board="kv260", array="4x4x8", samples=Samples(quantized.quantize_input(images))
    )


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def place(windowed: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(windowed.report().html(), "utf-8")
    return path


def show(chrome: Chrome, place: Path, width: int) -> None:
    """Open the page in a window of so many pixels."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(place.as_uri())
    assert not [entry["message"] for entry in chrome.get_log("browser")]


def boxes(chrome: Chrome, selector: str) -> list[Any]:
    return chrome.execute_script(BOXES, selector)


@pytest.mark.parametrize("width", [1200, 420])
def test_labels_of_the_roofline_are_apart(chrome: Chrome, place: Path, width: int) -> None:
    show(chrome, place, width)
    found, [picture] = boxes(chrome, "#roofline text"), boxes(chrome, "#roofline")
    names = [row[0] for row in cells(chrome.page_source, "phases")[:-1]]
    labels = [text for *_, text in boxes(chrome, "#roofline .label")]
    assert sorted(labels) == sorted([*names, "whole image, useful"])
    assert {"products per external byte", "products per cycle"} <= {text for *_, text in found}
    for left, top, right, bottom, text in found:
        assert picture[0] <= left + 0.5, text
        assert right - 0.5 <= picture[2], text
        assert picture[1] <= top + 0.5, text
        assert bottom - 0.5 <= picture[3], text
    for one, other in combinations(found, 2):
        across = min(one[2], other[2]) - max(one[0], other[0])
        down = min(one[3], other[3]) - max(one[1], other[1])
        assert across <= 1 or down <= 2, (one, other)  # a box has a little air above and below


def test_a_narrow_page_is_legible(chrome: Chrome, place: Path) -> None:
    """At 420 pixels nothing is cut off but what scrolls by itself, and no label is smaller than 10 pixels."""
    show(chrome, place, 420)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= 420
    heights = [bottom - top for _, top, _, bottom, _ in boxes(chrome, "svg text:not([transform])")]
    assert len(heights) > 50
    assert min(heights) >= 10
    for left, _, right, _, text in boxes(chrome, "svg text"):
        assert left >= 0, text
        assert right <= 420, text


def test_the_memory_map_has_names(chrome: Chrome, place: Path, windowed: Design) -> None:
    show(chrome, place, 1200)
    shown = {text for *_, text in boxes(chrome, "#maps .inside")}
    tensors = {region.tensor for region in windowed.program.regions}
    assert all(any(name == text or name.startswith(text.rstrip("…")) for name in tensors) for text in shown)
    assert {"embedding", "blocks_0_add"} <= shown
    rows = cells(chrome.page_source, "regions")
    assert {row[0] for row in rows} == tensors
    assert len(rows) == len(windowed.program.regions)


def test_every_tensor_has_its_noise(chrome: Chrome, place: Path, windowed: Design) -> None:
    show(chrome, place, 1200)
    known = [t for t in windowed.quantization["tensors"] if t["sqnr_db"] is not None]
    dots = chrome.find_elements(By.CSS_SELECTOR, "#noise circle:not(.open)")
    assert len(known) == len(dots) > 10
    places = [float(dot.get_attribute("cx") or 0) for dot in dots]
    values = [tensor["sqnr_db"] for tensor in known]
    slope, start = np.polyfit(values, places, 1)
    np.testing.assert_allclose(np.array(values) * slope + start, places, atol=1e-6)
    titles = [dot.find_element(By.TAG_NAME, "title").get_attribute("textContent") for dot in dots]
    assert [str(title).partition(":")[0] for title in titles] == [tensor["name"] for tensor in known]


def test_masks_and_what_their_tiles_read(chrome: Chrome, place: Path, windowed: Design) -> None:
    """Pixel by pixel: dark where a query sees a key, white where its command does not read it."""
    show(chrome, place, 1200)
    canvases = chrome.find_elements(By.CSS_SELECTOR, "#masks canvas")
    scores = [node for node in windowed.graph if isinstance(node.op, IntegerScores)]
    assert len(canvases) == len(scores) == 3
    for number, node in enumerate(scores):
        assert isinstance(node.op, IntegerScores)
        assert node.op.addends is not None
        seen = is_seen(node.op.addends)[0]
        shown = np.array(chrome.execute_script(PIXELS, number), float).reshape(64, 64, 3)
        dark, white = shown.max(-1) < 100, shown.min(-1) > 250
        np.testing.assert_array_equal(dark, seen)
        read = np.zeros_like(seen)
        for view in windowed.program.views:
            if view.tensor == node.name and view.which == DRAIN and view.first_head == 0:
                for at in range(view.heads if view.windows else 1):
                    row = view.first_row + at * view.rows
                    key = row if view.windows else view.first_column  # a window has its own keys
                    read[row : row + view.rows, key : key + view.columns] |= not view.key_runs
                rows = read[view.first_row : view.first_row + view.rows]
                for at, runs in enumerate(view.key_runs.split(";") if view.key_runs else ()):
                    for first, count in (map(int, run.split("+")) for run in runs.split(",")):
                        rows[at * view.tile_rows : (at + 1) * view.tile_rows, first : first + count] = True
        np.testing.assert_array_equal(~white, read)
        assert (seen <= read).all()
        assert not read.all()
    assert any(view.key_runs for view in windowed.program.views)


PIXELS = """const canvas = document.querySelectorAll('#masks canvas')[arguments[0]];
const zoom = canvas.width / 64, found = [];
const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
for (let row = 0; row < 64; row++) for (let key = 0; key < 64; key++) {
  const at = 4 * ((row * zoom + 2) * canvas.width + key * zoom + 2);
  found.push(data[at], data[at + 1], data[at + 2]);
}
return found"""


def test_a_model_without_masks_has_no_such_part() -> None:
    plain = compile_graph(integer_vit(DIGITS), board="kv260", array="4x4x8")
    assert 'id="attention"' not in plain.report().html()


def test_the_figures_need_no_script(windowed: Design) -> None:
    """In the text itself, before any script runs."""
    report = windowed.report()
    text = re.sub(r"<script.*?</script>", "", report.html(), flags=re.DOTALL)
    values = re.findall(r"<dd>(.*?)</dd>", text)
    clock, cycles = report.fit.board.core_mhz, report.prediction.cycles
    assert f"{cycles:,}" in values
    assert f"{cycles / clock / 1000:#.3g} ms" in values
    assert f"{1e6 * clock / cycles:,.1f}" in values
    for name in ("phases", "memories", "resources", "tensors", "regions"):
        assert cells(text, name)
