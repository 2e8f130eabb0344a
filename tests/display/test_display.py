# SPDX-License-Identifier: Apache-2.0
"""What a notebook shows: every `repr` fits on two lines, every table is small, and text stays text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support.experts import Shape, make

from hlsgen.design import Design
from hlsgen.display.html import MOST_ROWS, facts, table
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.pipeline import capture, quantize
from hlsgen.pipeline import compile as compile_graph
from hlsgen.quantization import Quantized

LONGEST, MOST_BYTES = 200, 30_000
"""Of a `repr`, in characters; of a table, in bytes."""
HOSTILE = "<script>alert(1)</script>&\"'"


@pytest.fixture(scope="module")
def quantized() -> Quantized:
    model = load_model("digits", (1, 8, 8), None)
    return quantize(capture(model.model, model.example, compare=False), load_data("digits").images[:32])


@pytest.fixture(scope="module")
def design(quantized: Quantized) -> Design:
    return compile_graph(quantized, board="kv260", array="4x4x8", notes={"model": "a model"})


class Text(HTMLParser):
    """The cells of a text, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def html(thing: object) -> Text:
    text = thing._repr_html_()  # type: ignore[attr-defined] notebooks call it
    assert len(text.encode()) < MOST_BYTES
    found = Text(text)
    assert found.tags <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    return found


def test_a_graph(quantized: Quantized) -> None:
    graph = quantized.graph
    assert re.fullmatch(
        r"Graph\(image int\[1x8x8\] .* -> \w+ int\[1x10\] .*; " + f"{len(graph.nodes)}" + r" nodes\)",
        repr(graph),
    )
    cells = html(graph).cells
    assert {node.name for node in graph.nodes[:MOST_ROWS]} <= set(cells)
    assert repr(quantized.reference).startswith("Graph(image float[1x8x8] -> ")


def test_a_graph_of_tasks() -> None:
    graph = make(Shape(experts=4, k=2, tasks=2, blocks=2)).quantized.graph
    assert repr(graph).endswith(f"and 1 more output; {len(graph.nodes)} nodes, 2 tasks)")
    assert len(repr(graph)) < LONGEST
    assert {f"output {name}" for name in graph.outputs} <= set(html(graph).cells)


def test_a_quantized_model(quantized: Quantized) -> None:
    row = quantized.report.tensor(quantized.graph.output)
    assert repr(quantized).startswith(
        f"Quantized({len(quantized.graph.nodes)} nodes; {row.name}: {row.sqnr_db:.1f} dB"
    )
    assert len(repr(quantized)) < LONGEST
    cells = html(quantized).cells
    assert set(quantized.report.warnings) <= set(cells)
    assert f"{row.sqnr_db:.1f}" in cells


def test_a_design(design: Design) -> None:
    assert repr(design).startswith("Design('a model', board='kv260', array=4x4x8, commands=")
    assert len(repr(design)) < LONGEST
    cells = html(design).cells
    assert cells[0] == "Design: a model"
    assert f"{design.image.size:,} bytes" in cells


def test_a_report(design: Design) -> None:
    report = design.report()
    prediction = report.prediction
    shown = f"Report('a model', kv260, 4x4x8: {prediction.cycles:,} cycles predicted, "
    shown += f"{prediction.useful:.1%} useful"
    assert repr(report).startswith(shown)
    assert len(repr(report)) < LONGEST
    cells = html(report).cells
    assert f"{prediction.cycles:,}" in cells
    assert {"attention", "MLP 1", "head", "latency, predicted"} <= set(cells)


@pytest.mark.parametrize("level", ["program", "rtl"])
def test_a_simulation(design: Design, level: str) -> None:
    done = design.simulate(level, samples=2)
    name = {"program": "program", "rtl": "rtl in verilator"}[level]
    cycles = f"; {done.cycles:,} cycles, {done.utilisation:.1%} useful" if level == "rtl" else ""
    amount = f"{done.elements:,} integers of {len(done.tensors)} tensors"
    assert repr(done) == f"Simulation({name}: 2 images, {amount} equal to golden{cycles})"
    cells = html(done).cells
    assert amount in cells
    assert ("waiting for operand rows" in cells) == (level == "rtl")


def test_text_of_a_model_stays_text(design: Design) -> None:
    hostile = replace(design, notes={"model": HOSTILE}, quantization={"warnings": [HOSTILE]})
    for thing in (hostile, hostile.report()):
        assert any(HOSTILE in cell for cell in html(thing).cells)
    assert Text(facts(HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE])).cells == [HOSTILE] * 4
    assert Text(table([HOSTILE], [[HOSTILE]])).cells == [HOSTILE] * 2


def test_a_long_table_says_how_much_is_left_out() -> None:
    rows = [[str(number)] for number in range(MOST_ROWS + 5)]
    cells = Text(table(["number"], rows)).cells
    assert cells == ["number", *(row[0] for row in rows[:MOST_ROWS]), "and 5 more rows"]
