# SPDX-License-Identifier: Apache-2.0
"""Bitstream projects from a build folder, in Python and on the command line."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.graphs import TINY, Vit, integer_vit
from support.said import without_steps

import hlsgen
from hlsgen import Design
from hlsgen.bitstream.build import build_bitstream
from hlsgen.bitstream.export import export
from hlsgen.bitstream.project import find_project
from hlsgen.cli import main
from hlsgen.errors import UsageError
from hlsgen.store.files import sha256

MOCKS = Path(__file__).parents[1] / "mock_tools"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """A tiny design in a build folder."""
    design = hlsgen.compile(integer_vit(TINY), array="2x2x2")
    return design.save(tmp_path_factory.mktemp("export") / "tiny")


@pytest.fixture
def mocks(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable, tool in (("YOSYS", "yosys"), ("NEXTPNR", "nextpnr-ecp5"), ("PACK", "ecppack")):
        monkeypatch.setenv(variable, str(MOCKS / tool))
    return monkeypatch


def test_the_ecp5_project_holds_the_whole_board(small: Design, tmp_path: Path) -> None:
    place = small.export(directory=tmp_path / "board")
    document = json.loads((place / "project.json").read_text())
    assert (document["board"], document["family"]) == ("ulx3s-85f", "ecp5")
    here = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert set(document["files"]) | {"project.json"} == here
    verilog = (place / "ecp5_top.v").read_text()
    assert re.search(r"^module ecp5_top\(", verilog, re.MULTILINE)
    assert "MULT18X18D" in verilog
    assert "LOCATE COMP" in (place / "ecp5_top.lpf").read_text()
    assert "host/" in (place / "README.md").read_text()
    with np.load(place / "host/vectors.npz") as vectors:
        images = vectors["images"]
        golden = small.logits(images).reshape(vectors["outputs"].shape)
        assert len(images)
        assert np.array_equal(vectors["outputs"], golden)


def test_exporting_twice_gives_the_same_bytes_and_removes_what_is_gone(small: Design, tmp_path: Path) -> None:
    place = small.export("zcu102", tmp_path / "zcu102")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    document = json.loads((place / "project.json").read_text())
    (place / "old.tcl").touch()
    (place / "project.json").write_text(json.dumps(document | {"files": [*document["files"], "old.tcl"]}))
    small.export("zcu102", place)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_the_clock_is_the_users(small: Design, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The PLL, the constraint and the serial port's divider follow it."""
    made = {}
    for name, options in (("own", []), ("same", ["--clock", "80"]), ("fast", ["--clock", "100"])):
        place = tmp_path / name
        assert main(["export", str(small.directory), "-o", str(place), *options]) == 0
        made[name] = {path: (place / path).read_text() for path in ("Makefile", "ecp5_top.v")}
    assert made["own"] == made["same"]
    assert "FREQUENCY ?= 100\n" in made["fast"]["Makefile"]
    dividers = {name: re.findall(r"\.CLK\w+_DIV\(([^)]*)\)", made[name]["ecp5_top.v"]) for name in made}
    assert dividers["own"] == dividers["same"] != dividers["fast"]
    tcl = (small.export("zcu102", tmp_path / "zynq", clock=175.5) / "project.tcl").read_text()
    assert "FREQMHZ {175.5}" in tcl
    with pytest.raises(UsageError, match=r"clock must be in 1\.\.1000 MHz, not 1000\.5"):
        small.export("zcu102", tmp_path / "zynq", clock=1000.5)
    capsys.readouterr()
    assert main(["export", str(small.directory), "--clock", "0"]) == 2
    assert "must be a positive number of MHz, not '0'" in capsys.readouterr().err


def test_what_cannot_be_exported_is_told(small: Design, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="board must have pins for a project, which lfe5u-85f has not"):
        export(small, "lfe5u-85f", tmp_path / "a")
    with pytest.raises(UsageError, match="did you mean zcu102"):
        export(small, "zcu10", tmp_path / "a")
    with pytest.raises(UsageError, match="the project needs a folder"):
        export(dataclasses.replace(small, directory=None))
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="must be empty, new, or a project of hlsgen"):
        export(small, "zcu102", tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.txt"]


def test_a_wider_bus_than_the_boards_needs_another_compilation(tmp_path: Path) -> None:
    text = (Path(hlsgen.__file__).parent / "boards/zcu102.toml").read_text()
    (tmp_path / "wide.toml").write_text(text.replace("bus_bytes = 16", "bus_bytes = 32"))
    wide = hlsgen.compile(integer_vit(TINY), board=str(tmp_path / "wide.toml"), array="2x2x2")
    with pytest.raises(UsageError) as caught:
        export(wide, "zcu102", tmp_path / "out")
    assert str(caught.value) == (
        "the design's bus must have at most 16 bytes for zcu102, not 32\n"
        "  fix: hlsgen compile with --board zcu102"
    )
    assert (export(wide, "ulx3s-85f", tmp_path / "on-chip") / "ecp5_top.v").is_file()


def test_a_narrower_bus_gets_a_narrower_port(tmp_path: Path) -> None:
    narrow = hlsgen.compile(integer_vit(TINY), array="2x2x2")
    assert narrow.program.parameters.bus_bytes == 8
    project = (export(narrow, "zcu102", tmp_path / "out") / "project.tcl").read_text()
    assert "CONFIG.PSU__SAXIGP2__DATA_WIDTH {64}" in project


def test_bitstream_exports_when_there_is_no_project_yet(
    tmp_path: Path, mocks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mocks.setenv("MOCK_MHZ", "90")
    hlsgen.compile(integer_vit(Vit(**{**dataclasses.asdict(TINY), "seed": 5})), array="2x2x2").save(
        tmp_path / "new"
    )
    assert main(["bitstream", str(tmp_path / "new"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["path"] == str(tmp_path / "new/boards/ulx3s-85f/build/ecp5_top.bit")
    assert document["used"]["DSP"] == [16, 156]
    assert document["clocks"][0]["achieved_mhz"] == 90


def test_a_folder_may_have_any_name_and_each_step_leaves_a_log(
    tmp_path: Path, mocks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'it\'s my "größe" $HOME #1; 100% (a&b)'
    hlsgen.compile(integer_vit(TINY), array="2x2x2").save(folder)
    mocks.setenv("MOCK_MHZ", "60 90")
    assert main(["bitstream", str(folder), "--jobs", "1", "-v"]) == 0
    said = capsys.readouterr().err
    places = [
        said.index(f"hlsgen: {step}\n")
        for step in ("1/4 project", "2/4 synthesis", "3/4 place and route", "4/4 pack")
    ]
    assert places == sorted(places)
    logs = folder / "boards/ulx3s-85f/build/logs"
    assert {path.name for path in logs.iterdir()} == {"synthesis.log", "seed-1.log", "seed-2.log", "pack.log"}
    for log in logs.iterdir():
        assert log.read_text().startswith("$ cd '")


def test_a_tool_that_fails_names_its_log(
    small: Design, tmp_path: Path, mocks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = small.export(directory=tmp_path / "broken")
    mocks.setenv("YOSYS", "false")
    assert main(["bitstream", str(place), "--json"]) == 7
    document = json.loads(capsys.readouterr().out)
    assert document["code"] == "HG402"
    (problem,) = document["problems"]
    assert problem["log"] == str(place / "build/logs/synthesis.log")
    assert "exit code" in Path(problem["log"]).read_text()


def test_bitstream_takes_seeds_and_jobs(
    small: Design, tmp_path: Path, mocks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mocks.setenv("MOCK_MHZ", "90 91 92 60 94")
    place = small.export(directory=tmp_path / "seeds")
    assert main(["bitstream", str(place), "--seeds", "4", "5", "--jobs", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [attempt["seed"] for attempt in document["attempts"]] == [4, 5]
    assert main(["bitstream", str(place), "--jobs", "0"]) == 2


def test_missed_timing_exits_with_7(
    small: Design, tmp_path: Path, mocks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mocks.setenv("MOCK_MHZ", "60 61 62")
    place = small.export(directory=tmp_path / "slow")
    assert main(["bitstream", str(place)]) == 7
    assert "timing must reach 80 MHz, not 62.0 MHz" in capsys.readouterr().err


def test_a_vivado_project_is_built_by_vivado(
    small: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = small.export("kv260", tmp_path / "kv260")
    monkeypatch.setenv("PATH", os.pathsep.join([str(MOCKS), os.environ["PATH"]]))
    built = build_bitstream(place)
    assert built.path == place / "build/hlsgen.bit"
    assert built.used["DSP"] == (1040, 2520)
    with pytest.raises(UsageError) as caught:
        build_bitstream(place, seeds=[1], jobs=2)
    assert str(caught.value) == (
        "seeds and jobs must be left out for Zynq UltraScale+\n"
        "  why: Vivado, which builds its bitstreams, takes none"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["bitstream", str(place)]) == 6
    error = capsys.readouterr().err
    assert "vivado not found" in error
    assert "make not found" in error
    assert f"or run `make bitstream` in {place} where it is" in error


def test_the_right_project_is_found(small: Design, tmp_path: Path) -> None:
    saved = small.save(tmp_path / "several")
    saved.export("kv260")
    assert find_project(tmp_path / "several") == tmp_path / "several/boards/kv260"
    saved.export("zcu102")
    with pytest.raises(UsageError, match=r"project must be one of .*kv260, .*zcu102, not all of them"):
        find_project(tmp_path / "several")
    saved.export()
    assert find_project(tmp_path / "several") == tmp_path / "several/boards/ulx3s-85f"
    with pytest.raises(UsageError, match="must be a project or build folder"):
        find_project(tmp_path)


@pytest.fixture
def recompiled(tmp_path: Path) -> tuple[Path, str, str]:
    """A build folder with a project of the weights that it held before; both designs' digests."""
    place = tmp_path / "again"
    old, new = (
        hlsgen.compile(
            integer_vit(Vit(**{**dataclasses.asdict(TINY), "seed": seed})), board="kv260", array="2x2x2"
        )
        for seed in (2, 6)
    )
    old.save(place).export()
    (place / "boards/kv260/mine.txt").write_text("mine")
    new.save(place)
    return place, old.digest, new.digest


def test_a_project_of_other_weights_is_not_built(
    recompiled: tuple[Path, str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, old, new = recompiled
    monkeypatch.setenv("PATH", os.pathsep.join([str(MOCKS), os.environ["PATH"]]))
    project = place / "boards/kv260"
    for given in (place, project):
        assert main(["bitstream", str(given)]) == 2
        assert without_steps(capsys.readouterr().err) == (
            f"hlsgen: error: {project} must be a project of design {new[:12]}, not {old[:12]}\n"
            f"  why: {place} was compiled again after the export\n"
            f"  fix: hlsgen export {place} --board kv260\n"
            "  more: hlsgen explain HG007\n"
        )
    assert main(["export", str(place), "--board", "kv260"]) == 0
    assert main(["bitstream", str(place)]) == 0
    assert (project / "mine.txt").read_text() == "mine"


def test_a_changed_project_is_not_built(small: Design, tmp_path: Path) -> None:
    place = small.export("zcu102", tmp_path / "zcu102")
    (place / "top.v").write_text((place / "top.v").read_text() + "\n")
    (place / "driver/image.bin").unlink()
    with pytest.raises(UsageError) as caught:
        build_bitstream(place)
    assert [(problem.what, problem.why) for problem in caught.value.problems] == [
        (f"{place}/driver/image.bin must be as it was exported", "no such file or directory"),
        (f"{place}/top.v must be as it was exported", "the file was changed"),
    ]
    assert "`make bitstream` in the project builds it as it is" in caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("board", "folder", "names"),
    [("kv260", "driver", ["image.bin", "vectors.npz"]), ("ulx3s-85f", "host", ["vectors.npz"])],
)
def test_a_host_is_told_what_belongs_to_its_design(
    small: Design, tmp_path: Path, board: str, folder: str, names: list[str]
) -> None:
    place = small.export(board, tmp_path / board)
    document = json.loads((place / folder / "design.json").read_text())
    assert document["design"] == small.digest
    assert document["sha256"] == {name: sha256((place / folder / name).read_bytes()) for name in names}
    (program,) = (place / folder).glob("hlsgen_*.py")
    spec = importlib.util.spec_from_file_location(f"{program.stem}_of_{board.partition('-')[0]}", program)
    assert spec is not None
    assert spec.loader is not None
    host = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(host)
    kind, error = (
        (host.Accelerator, host.DeviceError) if folder == "driver" else (host.Board, host.BoardError)
    )
    opened = kind.__new__(kind)  # no device is there
    opened._folder, opened.design = place / folder, document
    vectors = place / folder / "vectors.npz"
    assert opened._vectors() == vectors
    vectors.write_bytes(vectors.read_bytes() + b"\0")  # as of an export of other weights
    with pytest.raises(
        error, match=r"vectors\.npz must be of the same export as design\.json .*: copy the wh"
    ):
        opened.self_test()
