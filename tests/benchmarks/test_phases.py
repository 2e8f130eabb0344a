# SPDX-License-Identifier: Apache-2.0
"""What `python -m benchmarks` makes of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.graphs import TINY, images, integer_vit

from benchmarks import table
from benchmarks.case import Case, Result, run
from benchmarks.cases import Bar
from benchmarks.timing.size import Size


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.case.HARNESSES", Path(tmp_path_factory.mktemp("harness")))
        prepared = integer_vit(TINY), images(TINY, 1)[0]
        return run(Case(model="tiny", array=(2, 4, 2), memory=8, row_width=2), prepared)


def test_phases_share_out_all_cycles_and_steps(result: Result) -> None:
    assert sum(phase.multiply for phase in result.phases) == result.multiply
    total = sum(phase.cycles for phase in result.phases)
    assert 0 < result.cycles - total < 100  # what is left is the output's way to memory
    names = [phase.name for phase in result.phases]
    assert names == ["patch embedding", "Q, K, V", "attention", "projection", "MLP 1", "MLP 2", "head"]
    assert result.useful == pytest.approx(result.macs / (result.cycles * 16))


def test_a_bar_holds_cycles_share_and_model(result: Result) -> None:
    exact = abs(result.model_error) <= 0.01
    assert Bar(cycles=result.cycles).met(result) is exact
    assert not Bar(cycles=result.cycles - 1).met(result)
    assert not Bar(useful=result.useful + 0.001).met(result)


def test_products_per_block(result: Result) -> None:
    """Without a count there are none, in the line, the page, or for a bar; with one the share is exact."""
    assert result.useful_per_block == 0
    assert "DSP48E2" not in table.line(result)
    counted = dataclasses.replace(result, blocks=8)
    assert counted.useful_per_block == result.macs / result.cycles / 8
    assert f"8 DSP48E2 blocks, {counted.useful_per_block:.3f} useful" in table.line(counted)
    assert f"| {counted.useful_per_block:.2f} (8) |" in table.page([(counted, Bar())])
    assert not Bar(useful_per_block=0.001).met(result)
    assert not Bar(useful_per_block=counted.useful_per_block + 0.001).met(counted)


def test_the_page_tells_tables_beside_blocks(result: Result) -> None:
    cells = Size(logic=900, lut_ram=80, shift=20, ff=0, carry=0, dsp=40, ram_blocks=0, macs=16)
    page = table.page([(dataclasses.replace(result, size=cells), Bar()), (result, Bar())])
    useful = f"{1000 * result.cycles / result.macs:.1f}"
    who = f"hlsgen, tiny {result.case.array_text} @{result.case.memory}"
    assert f"| {who} | 1,000 | 40 | 25.0 | 62.5 | {useful} | simulation |" in page
    assert page.count("| hlsgen, tiny ") == 1
    assert "| CoQMoE | 156,100 | 1,754 | 89.0 |  | 387 | arXiv 2506.08496 |" in page
    assert "| UbiMoE | 123,400 | 1,850 | 66.7 |  | 1213 | arXiv 2502.05602 |" in page


def test_the_page_has_a_row_for_every_case(result: Result) -> None:
    page = table.page([(result, Bar(cycles=1)), (result, Bar())])
    assert page.count("| tiny | ") == 2
    assert "| ≤ 1 cycles missed |" in page
    assert all(len(line) <= 200 for line in page.splitlines())
    assert table.data(result)["cycles"] == result.cycles
