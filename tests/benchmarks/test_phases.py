"""What `python -m benchmarks` makes of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.graphs import TINY, images, integer_vit

from benchmarks import table
from benchmarks.case import Case, Result, run
from benchmarks.cases import Bar


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


def test_the_page_has_a_row_for_every_case(result: Result) -> None:
    page = table.page([(result, Bar(cycles=1)), (result, Bar())])
    assert page.count("| tiny | ") == 2
    assert "| ≤ 1 cycles missed |" in page
    assert all(len(line) <= 200 for line in page.splitlines())
    assert table.data(result)["cycles"] == result.cycles
