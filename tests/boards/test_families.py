# SPDX-License-Identifier: Apache-2.0
"""A family is a record: a made-up third one goes the whole way, and an unknown one is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from support.graphs import TINY, integer_vit

import hlsgen
from hlsgen.bitstream.build import build_bitstream
from hlsgen.bitstream.project import FORMAT, PROJECT
from hlsgen.bitstream.result import Bitstream
from hlsgen.boards import Board, load_board
from hlsgen.boards.families import FAMILIES, BlockRam, Family, find_family
from hlsgen.boards.rules import one_of
from hlsgen.cli import main
from hlsgen.errors import DoesNotFit, UsageError
from hlsgen.fit.estimate import check_fit, estimate, fitting_arrays
from hlsgen.store.compiled import Compiled

BOARD = """
title = "A board of a third family"
family = "third"
part = "T9"
colour = "blue"
resources = { lut = 20000, ff = 20000, dsp = 64, ram_blocks = 700 }
memory = { image = "external", bus_bytes = 8 }
defaults = { array = "2x2x4", core_mhz = 50, usable_dsp = 1.0 }
"""
THIRD = Family(
    name="third",
    title="Third",
    rtl_target="generic",
    project_target="generic",
    ram=BlockRam(shapes=((256, 16), (512, 8)), lut_cells=4),
    needs_pins=False,
    tools="the third's tools",
    project="third_family:write",
    build="third_family:build",
    build_options=("jobs",),
    keys={"colour": one_of("blue", "red")},
)


def _write(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    about = f"{board.name} is {board.options['colour']}"
    return {"board.txt": about, "machine.txt": str(design.program.parameters), "image.bin": b"\1\2"}


def _build(place: Path, jobs: int = 1) -> Bitstream:
    (place / "third.bit").write_text(f"{jobs} jobs")
    return Bitstream(path=place / "third.bit", seed=0, clocks=(), used={}, attempts=(), seconds=0.0)


@pytest.fixture
def third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A board of the third family, by its path; the family is known while the test runs."""
    module = ModuleType("third_family")
    vars(module).update(write=_write, build=_build)
    monkeypatch.setitem(sys.modules, "third_family", module)
    monkeypatch.setitem(FAMILIES, "third", THIRD)
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    return str(path)


def test_a_third_family_goes_the_whole_way(third: str, tmp_path: Path) -> None:
    design = hlsgen.compile(integer_vit(TINY), board=third)
    assert design.rtl_target == "generic"
    place = design.save(tmp_path / "design").export()
    assert place == tmp_path / "design/boards/mine"
    document = json.loads((place / "project.json").read_text())
    assert (document["board"], document["family"]) == ("mine", "third")
    assert sorted(document["files"]) == ["board.txt", "image.bin", "machine.txt"]
    assert (place / "board.txt").read_text() == "mine is blue"
    assert build_bitstream(tmp_path / "design", jobs=3).path.read_text() == "3 jobs"
    with pytest.raises(UsageError) as caught:
        build_bitstream(place, seeds=[1])
    assert str(caught.value) == (
        "seeds must be left out for Third\n  why: the third's tools, which builds its bitstreams, takes none"
    )


def test_a_third_family_has_blocks_of_its_own(third: str) -> None:
    board, design = load_board(third), hlsgen.compile(integer_vit(TINY), board=third, row_width=1)
    machine = design.program.parameters
    fit = estimate(machine, board)
    assert fit.dsp == 2 * 2 * 4 + 3 + 5 * 2
    assert str(fit).startswith("mine: about 29 of 64 DSP blocks and ")
    assert " of 700 RAM blocks of 4 kbit\n" in str(fit)
    assert BlockRam(shapes=((256, 16), (512, 8)), lut_cells=4).blocks(600, 9) == 3
    large = dataclasses.replace(machine, columns=8, depth=4)
    with pytest.raises(DoesNotFit, match="the 2x8x4 array must need at most 64 DSP blocks on mine, not 107"):
        check_fit(large, board)
    assert all(board.family.dsp(*array) <= 64 for array in fitting_arrays(board, 64))


def test_an_unknown_family_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why = "why: the family says what the device's blocks are, and which tools build its projects"
    fix = "fix: choose one of them; a new family is a record in hlsgen/boards/families.py"
    rule = "family must be one of ecp5, zynqmp, gowin, not 'third'"
    with pytest.raises(UsageError) as caught:
        find_family("third", where="somewhere")
    assert str(caught.value) == f"{rule}\n  where: somewhere\n  {why}\n  {fix}"
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    with pytest.raises(UsageError) as caught:
        load_board(str(path))
    problems = {problem.what: str(problem) for problem in caught.value.problems}
    assert problems[f"board mine: {rule}"] == f"board mine: {rule}\n  {why}\n  {fix}"
    note = {"format": FORMAT, "board": "mine", "family": "third", "design": "", "files": {}}
    (tmp_path / PROJECT).write_text(json.dumps(note))
    assert main(["bitstream", str(tmp_path)]) == 2
    where = f"where: {tmp_path / PROJECT}"
    assert capsys.readouterr().err.endswith(
        f"error: {rule}\n  {where}\n  {why}\n  {fix}\n  more: hlsgen explain HG040\n"
    )
