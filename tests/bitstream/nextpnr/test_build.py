# SPDX-License-Identifier: Apache-2.0
"""Placements that miss hold: the next seed is tried, and the numbers are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsgen.bitstream.gowin.build import FLOW
from hlsgen.bitstream.nextpnr.build import build_project
from hlsgen.bitstream.nextpnr.placements import read_hold_violations
from hlsgen.boards import load_board
from hlsgen.emit.gowin.project import gowin_project
from hlsgen.errors import ToolFailed

MOCKS = Path(__file__).parents[2] / "mock_tools"
VERILOG = "module gowin_top(clk27);\n  input clk27;\nendmodule\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path, text in gowin_project(load_board("tang-nano-20k"), VERILOG).items():
        (tmp_path / path).write_text(text)
    for variable, tool in (("YOSYS", "yosys"), ("NEXTPNR", "nextpnr-ecp5"), ("PACK", "gowin_pack")):
        monkeypatch.setenv(variable, str(MOCKS / tool))
    monkeypatch.setenv("MOCK_MHZ", "99 99 99")
    return tmp_path


def test_the_first_seed_that_meets_hold_too_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_HOLD", "11 0 0")
    built = build_project(FLOW, project, jobs=1)
    assert [(attempt.seed, attempt.hold_violations, attempt.met) for attempt in built.attempts] == [
        (1, 11, False),
        (2, 0, True),
    ]
    assert built.path == project / "build/gowin_top.fs"
    assert built.path.read_text() == "configuration of seed 2\n"


def test_hold_that_no_seed_meets_is_a_failure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_HOLD", "11 3 4")
    with pytest.raises(ToolFailed) as caught:
        build_project(FLOW, project, jobs=1)
    (problem,) = caught.value.problems
    assert problem.what == "timing must have no hold violation, not 3 (the best of 3 placements)"
    assert "seed 3: core 99.0 MHz of 54 MHz, 4 hold violations" in problem.why
    assert not list((project / "build").glob("*.fs"))


def test_set_up_is_told_where_both_are_missed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_HOLD", "1 1 1")
    monkeypatch.setenv("MOCK_MHZ", "40 45 30")
    with pytest.raises(ToolFailed, match=r"timing must reach 54 MHz, not 45\.0 MHz"):
        build_project(FLOW, project, jobs=1)


def test_a_log_without_violations(tmp_path: Path) -> None:
    path = tmp_path / "nextpnr.log"
    path.write_text("Info: Max frequency for clock 'core': 99 MHz\n")
    assert read_hold_violations(path) == 0
    path.write_text("Info: 40 Hold/min time violations (showing 10 worst paths):\n")
    assert read_hold_violations(path) == 40
