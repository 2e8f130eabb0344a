# SPDX-License-Identifier: Apache-2.0
"""The report's page, read back from headless Chromium."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.graphs import DIGITS, integer_vit
from support.page import cells, dom
from support.said import without_steps

from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.machine.format.interface import REASONS
from hlsgen.machine.time.cycles import predict
from hlsgen.pipeline import compile as compile_graph

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;\"'"


@pytest.fixture(scope="module")
def design() -> Design:
    quantization = {
        "tensors": [
            {"name": HOSTILE, "op": "IntegerLinear", "low": -1.5, "high": 2.25, "scale": 0.0123, "bits": 8,
             "saturated": 30, "elements": 1000, "sqnr_db": 41.25, "centred_db": -0.94},
            {"name": "image", "op": "input", "low": -1.0, "high": 1.0, "scale": 0.5, "bits": 8,
             "saturated": 0, "elements": 1000, "sqnr_db": None, "centred_db": None},
        ],
        "warnings": ["few images"],
    }  # fmt: skip
    compiled = compile_graph(integer_vit(DIGITS), board="kv260", array="4x4x8", notes={"model": HOSTILE})
    return replace(compiled, quantization=quantization)


@pytest.fixture(scope="module")
def document(design: Design, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("page") / "report.html"
    place.write_text(design.report().html(), "utf-8")
    return dom(place)


def test_the_page_shows_the_report_s_figures(design: Design, document: str) -> None:
    prediction, program = predict(design.program, design.image, target=design.rtl_target), design.program
    values = [html.unescape(value) for value in re.findall(r"<dd>(.*?)</dd>", document)]
    assert f"{prediction.cycles:,}" in values
    assert f"{prediction.useful:.1%}" in values
    assert f"{prediction.bytes_read:,}" in values
    assert "4x4x8" in values
    phases = cells(document, "phases")
    assert phases[-1][:2] == ["all", f"{prediction.cycles:,}"]
    assert phases[-1][3] == f"{prediction.multiply:,}"
    assert sum(int(row[5].replace(",", "")) for row in phases[:-1]) <= prediction.bytes_read
    bars = re.findall(r'<rect[^>]*role="button"[^>]*>', document)
    assert len(bars) == 3 * len(program.commands)
    pattern = r"<title>(\S+): words ([\d,]+) to ([\d,]+), commands (\d+) to (\d+)</title>"
    regions = re.findall(pattern, document)
    assert len(regions) == len(program.regions)
    memories = [region.memory for region in program.regions]
    expected = sorted(program.regions, key=lambda region: memories.index(region.memory))
    for (name, first, last, begin, end), region in zip(regions, expected, strict=True):
        assert (name, int(begin), int(end)) == (region.tensor, region.first, region.last)
        assert int(first.replace(",", "")) == region.base
        assert int(last.replace(",", "")) == region.base + region.words - 1
    fit = design.report().fit
    assert [row[1] for row in cells(document, "resources")] == [f"{fit.dsp:,}", f"{fit.ram_blocks:,}"]
    assert [row[0] for row in cells(document, "memories")] == [memory.name for memory in fit.memories]


def test_names_from_the_model_stay_text(document: str) -> None:
    assert "<img" not in document.replace(html.escape(HOSTILE), "")
    assert cells(document, "tensors")[0][0] == HOSTILE
    assert cells(document, "tensors")[0][6:] == ["30", "3.000 %", "41.2", "-0.9"]
    titles = re.findall(r"<title>(.*?)</title>", document)
    assert html.unescape(titles[0]) == f"hlsgen: {HOSTILE}"
    assert '<p class="bad">few images</p>' in document


def test_the_page_needs_nothing_else_and_repeats(design: Design) -> None:
    text = design.report().html()
    assert text == design.report().html()
    program = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.findall(r"<[^<>]*\s(?:src|href)\s*=|@import|url\(|fetch\(|import\(|XMLHttpRequest", program)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert len(text.encode()) < 200_000


def test_the_verb_writes_it(design: Design, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design.save(tmp_path / "build")
    assert main(["report", str(tmp_path / "build"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    place = Path(answer["file"])
    assert place == tmp_path / "build" / "report.html"
    assert answer["bytes"] == place.stat().st_size
    assert answer["warnings"] == answer["report"]["warnings"] == ["few images"]
    assert main(["report", str(tmp_path / "build")]) == 0
    printed = capsys.readouterr()
    assert without_steps(printed.err).splitlines() == ["warning: few images"]
    assert "few images" not in printed.out
    assert main(["report", str(tmp_path / "build"), "-o", str(tmp_path / "no" / "page.html")]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_measured_counters_stand_beside_the_prediction(design: Design, tmp_path: Path) -> None:
    """What `simulate --level rtl` counted; a new compilation forgets it."""
    saved = design.save(tmp_path / "build")
    assert '"measured":null' in saved.report().html()
    result = saved.simulate("rtl", samples=2)
    place = tmp_path / "page.html"
    place.write_text(saved.report().html(), "utf-8")
    document = dom(place)
    rows, phases = cells(document, "measured"), cells(document, "measured-phases")
    prediction = predict(design.program, design.image, target=design.rtl_target)
    slowest = max(result.counters, key=lambda item: item["cycles"])
    assert rows[0][:3] == ["whole image", f"{prediction.cycles:,}", f"{slowest['cycles']:,}"]
    assert rows[1][:3] == ["multiplying", f"{prediction.multiply:,}", f"{slowest['multiply']:,}"]
    assert [row[2] for row in rows[1:]] == [f"{slowest[reason.title]:,}" for reason in REASONS]
    assert [row[0] for row in phases] == [row[0] for row in cells(document, "phases")[:-1]]
    measured = sum(int(row[2].replace(",", "")) for row in phases)
    assert measured == max(result.ends.values())
    assert 0 < slowest["cycles"] - measured < 200  # the output's way to memory
    assert "Simulated with verilator; the slowest of 2 images." in document
    check_shown(document, saved, slowest["cycles"])
    again = design.save(tmp_path / "build").report().html()
    assert '"measured":null' in again
    assert "cycles per image, predicted" in again
    assert "measured" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", again, flags=re.DOTALL)


def check_shown(document: str, design: Design, cycles: int) -> None:
    """Measured cycles stand where predicted ones stood, and all that follows from them."""
    found, clock = (
        dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", document)),
        design.report().fit.board.core_mhz,
    )
    assert found["cycles per image, measured"] == f"{cycles:,}"
    assert found["latency, measured"] == f"{cycles / clock / 1000:#.3g} ms"
    assert found["frames per second, measured"] == f"{1e6 * clock / cycles:,.1f}"
    program = design.program
    assert found["useful multipliers, measured"] == f"{program.macs / cycles / program.parameters.lanes:.1%}"
    phases, measured = cells(document, "phases"), cells(document, "measured-phases")
    assert [row[:2] for row in phases[:-1]] == [[row[0], row[2]] for row in measured]
    assert phases[-1][1] == f"{cycles:,}"


def test_clocks_of_built_bitstreams_are_shown(design: Design, tmp_path: Path) -> None:
    saved = design.save(tmp_path / "build")
    built = tmp_path / "build" / "boards" / "ulx3s-85f" / "build"
    built.mkdir(parents=True)
    cells = {"DP16KD": {"used": 7, "available": 208}, "TRELLIS_IO": {"used": 0, "available": 365}}
    nextpnr = {"fmax": {"$glbnet$clk": {"achieved": 81.26}}, "utilization": cells}
    (built / "report.json").write_text(json.dumps(nextpnr))
    place = tmp_path / "page.html"
    place.write_text(saved.report().html(), "utf-8")
    assert "ulx3s-85f, placed and routed: $glbnet$clk 81.3 MHz; DP16KD 7 of 208</p>" in dom(place)
    (built / "report.json").write_text("{")  # a run under way
    assert '"placed":[]' in saved.report().html()
