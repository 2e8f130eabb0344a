# SPDX-License-Identifier: Apache-2.0
"""Experts and tasks on the report's page, read back from headless Chromium."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from support.experts import Made, Shape, make
from support.graphs import DIGITS, integer_vit
from support.page import cells, dom

from hlsgen.design import Design
from hlsgen.display.share import Share
from hlsgen.ir import evaluate
from hlsgen.machine.time.cycles import predict
from hlsgen.ops.route import split
from hlsgen.pipeline import compile as compile_graph
from hlsgen.report.routing import choices, sample_routing
from hlsgen.store.samples import Samples

SHAPE = Shape(experts=4, k=2, tasks=2, blocks=2)
PATCHES, TOKENS = 9, 10


@pytest.fixture(scope="module")
def made() -> Made:
    return make(SHAPE)


@pytest.fixture(scope="module")
def design(made: Made) -> Design:
    samples = Samples(made.images[:4])
    return compile_graph(made.quantized, board="zcu102", array="4x4x8", samples=samples)


@pytest.fixture(scope="module")
def document(design: Design, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("page") / "report.html"
    text = design.report().html()
    assert len(text.encode()) < 1_000_000
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    place.write_text(text, "utf-8")
    return dom(place)


def test_the_picture_shows_every_patch_with_its_experts(design: Design, document: str) -> None:
    pictures = re.findall(r'<svg[^>]*class="patches"[^>]*aria-label="([^"]*)".*?</svg>', document, re.DOTALL)
    bodies = re.findall(r'<svg[^>]*class="patches"[^>]*>(.*?)</svg>', document, re.DOTALL)
    wanted = [
        (f"experts by patch: {name}, task {task}", chosen)
        for task in range(2)
        for name, (_, chosen) in choices(design.graph, golden(design, task)).items()
    ]
    assert pictures == [label for label, _ in wanted]
    for body, (_, chosen) in zip(bodies, wanted, strict=True):
        shown = [int(expert) for expert in re.findall(r'data-expert="(\d+)"', body)]
        assert shown == chosen[TOKENS - PATCHES :].reshape(-1).tolist()
        loads = np.bincount(chosen.reshape(-1), minlength=4)
        titles = re.findall(r"<title>expert (\d): (\d+) tokens</title>", body)
        assert titles == [(str(expert), str(count)) for expert, count in enumerate(loads)]


def golden(design: Design, task: int) -> dict[str, np.ndarray]:
    return dict(evaluate(design.graph, design.samples.images[0], task))


def test_the_choices_are_golden_s(design: Design) -> None:
    values = golden(design, 1)
    for name, (experts, chosen) in choices(design.graph, values).items():
        assert experts == 4
        np.testing.assert_array_equal(chosen, split(values[name])[0].reshape(TOKENS, 2))


def test_the_load_is_that_of_the_calibration(design: Design, document: str) -> None:
    routing = design.quantization["routing"]
    assert len(routing) == 4
    rows = cells(document, "agreement")
    assert [row[:4] for row in rows] == [
        [item["name"], str(item["task"]), f"{item['tokens']:,}", f"{item['agreeing']:,}"] for item in routing
    ]
    for row, item in zip(rows, routing, strict=True):
        others = f"{item['near_others']} of {item['tokens'] - item['agreeing']}"
        assert row[5:8] == [str(item["ties"]), str(item["near"]), others]
    assert document.count('class="load"') == 4
    for item in routing:
        for expert, count in enumerate(item["load"]):
            assert f"<title>expert {expert}: {count:,} tokens</title>" in document


def test_the_text_says_how_tokens_go(design: Design) -> None:
    lines = [line for line in str(design.report()).splitlines() if line.startswith("experts ")]
    for line, item in zip(lines, design.quantization["routing"], strict=True):
        share = Share(item["agreeing"], item["tokens"])
        assert line.startswith(f"experts    task {item['task']}, {item['name']}, calibration: {share} of the")
        assert line.endswith(f"{item['near']} near-ties, {item['ties']} ties of integers")


def test_bytes_with_and_without_the_order_of_experts(design: Design, document: str) -> None:
    for row in cells(document, "tasks"):
        task, cycles, least, _, once, anew, experts = (text.replace(",", "") for text in row)
        prediction = predict(
            design.program, design.image, routing=sample_routing(design, int(task)), target=design.rtl_target
        )
        assert (int(cycles), int(once)) == (prediction.cycles, prediction.bytes_read)
        assert int(least) <= int(cycles)
        # Every token has two experts a layer, each of which has as many bytes as any other.
        used = sum(map(np.count_nonzero, sample_routing(design, int(task)).loads))
        size = int(experts) / used
        assert int(anew) - int(once) == size * (2 * 2 * TOKENS - used)


def test_phases_say_which_bound_holds(design: Design, document: str) -> None:
    rows = cells(document, "phases")
    assert {row[7] for row in rows[:-1]} <= {"compute", "memory"}
    assert {"router", "experts 1", "experts 2"} <= {html.unescape(row[0]) for row in rows}
    prediction = predict(
        design.program, design.image, routing=sample_routing(design), target=design.rtl_target
    )
    assert rows[-1][1] == f"{prediction.cycles:,}"
    assert rows[-1][3] == f"{prediction.multiply:,}"


def test_a_model_without_experts_has_no_such_part(tmp_path: Path) -> None:
    plain = compile_graph(integer_vit(DIGITS), board="zcu102", array="4x4x8")
    place = tmp_path / "page.html"
    place.write_text(plain.report().html(), "utf-8")
    assert 'id="experts"' not in dom(place)
