# SPDX-License-Identifier: Apache-2.0
"""The systems' page: every paper of the list, examples that exist, and the text that the command writes."""

from __future__ import annotations

from benchmarks.systems.__main__ import PAGE, TEXT, page
from benchmarks.systems.measure import names
from benchmarks.systems.papers import PAPERS
from benchmarks.systems.published import MODELS


def test_every_paper_runs_or_waits() -> None:
    assert len({paper.name for paper in PAPERS}) == len(PAPERS) == 38
    for paper in PAPERS:
        assert paper.example or paper.waits, paper.name
        example = paper.example.partition(",")[0]
        assert not example or example.startswith("shipped: ") or example in names(), paper.name


def test_the_page_is_what_the_command_writes() -> None:
    lines = PAGE.read_text().splitlines()
    examples = [line for line in lines if line.startswith("| `")]
    models = [line for line in lines if line.startswith(tuple(f"| {name} |" for name in MODELS))]
    assert [line.split("`")[1] for line in examples] == names()
    assert len(models) == len(MODELS)
    assert PAGE.read_text() == page(examples, models)
    assert TEXT.partition("{")[0] in PAGE.read_text()
