# SPDX-License-Identifier: Apache-2.0
"""Build folders whose names have spaces, quotes and letters beyond ASCII, or that can't be written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

import hlsgen
from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.errors import ToolFailed, UsageError
from hlsgen.progress import plans
from hlsgen.sim import place
from hlsgen.sim.place import PLAIN, build_place

ODD = 'it\'s my "größe" $HOME #1; 100% (a&b)'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small design's build folder at a name that breaks whoever does not quote it."""
    made = hlsgen.compile(integer_vit(TINY), array=(1, 2, 2))
    found = made.save(tmp_path_factory.mktemp("places") / ODD / "build dir").directory
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HLSGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("level", ["csim", "rtl", "icarus"])
def test_simulate(folder: Path, level: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--level", "rtl", "--simulator", "icarus"] if level == "icarus" else ["--level", level]
    code = main(["simulate", str(folder), *options, "--samples", "1"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "1 images" in out
    planned = plans.simulate("csim" if level == "csim" else "rtl")
    for number, name in enumerate(planned, 1):
        assert f"hlsgen: {number}/{len(planned)} {name}\n" in err
    assert (folder / "build/logs/build.log").read_text().startswith("$ cd ") or level == "icarus"


def make(folder: Path, *arguments: str) -> str:
    environ = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", *arguments], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_make_csim(folder: Path) -> None:
    assert "outputs equal" in make(folder, "csim")


def test_make_cosim(folder: Path) -> None:
    """From the folder's Makefile; `tests/emit/test_bench.py` does it in Verilator too."""
    shown = make(folder, "cosim", f"PYTHON={sys.executable}", "SIM=icarus", "SAMPLES=1")
    assert "1 inputs equal" in shown
    assert not (folder / "sim/sim_build").exists()


def test_a_folder_that_cannot_be_written(folder: Path, cache: Path) -> None:
    """`build` is a link to nowhere, which even the superuser can't write to: simulators go to the cache."""
    build = folder / "build"
    if build.is_dir():
        build.rename(folder / "kept")
    build.symlink_to("/proc/self/nothing")
    try:
        design = Design.load(folder)
        assert design.simulate("csim", samples=1).images == 1
        assert design.simulate("rtl", "icarus", samples=1).images == 1
    finally:
        build.unlink()
    assert len(list(cache.glob("*/tb"))) == 1
    assert len(list(cache.glob("cocotb-icarus-*"))) == 1


def test_places(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, odd = tmp_path / "good", tmp_path / "a b"
    assert build_place(good) == good.resolve()
    assert build_place(odd) == cache.resolve()
    assert build_place(odd, plain=False) == odd.resolve()
    file = tmp_path / "file"
    file.write_text("")
    assert build_place(file) == build_place(file / "below", plain=False) == cache.resolve()
    monkeypatch.setenv("HLSGEN_CACHE", str(odd))
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setattr(place.tempfile, "tempdir", None)
    place._temporary.cache_clear()
    found = build_place(odd)
    assert PLAIN.fullmatch(str(found))
    assert found.is_dir()
    assert build_place(odd) == found
    place._temporary.cache_clear()
    monkeypatch.setattr(place, "_writable", lambda _: False)
    with pytest.raises(UsageError, match="a folder must be there in which simulators can be built"):
        build_place(odd)


def test_printed_commands_can_be_pasted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of `compile`, `export` and a tool that failed; what they do is tested elsewhere."""
    error = ToolFailed("make failed", ["make", "-C", ODD])
    assert shlex.split(error.problems[0].where) == ["make", "-C", ODD]
    monkeypatch.setattr("hlsgen.pipeline.build", lambda *_, **__: Design.load(folder))
    monkeypatch.setattr(Design, "export", lambda *_, **__: folder / "boards")
    for call, following in (
        (["compile", "digits", "-o", str(folder)], ["hlsgen", "simulate", str(folder), "--level", "rtl"]),
        (["export", str(folder)], ["hlsgen", "bitstream", str(folder / "boards")]),
    ):
        assert main(call) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert shlex.split(line.removeprefix("next: ")) == following
