# SPDX-License-Identifier: Apache-2.0
"""The build folder of the digits example: what is in it, the same bytes each time, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hlsgen import Design, Samples
from hlsgen.emit.contents import contents
from hlsgen.errors import UsageError
from hlsgen.store.paths import DERIVED, TRACED


def test_the_folder_lists_its_files_and_loads_back(folder: Path, design: Design) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    compiled = {path for path in here if not path.startswith("build/")} - {"manifest.json", *DERIVED}
    assert set(listed) == compiled
    for path in (
        "README.md",
        "Makefile",
        "program.txt",
        "hls/top.cpp",
        "rtl/top.v",
        "sim/bench.py",
        "data/image.bin",
    ):
        assert path in listed
    expected = (folder / "data/expected.bin").read_bytes()
    size = design.program.output.size(design.program.parameters)
    logits = design.logits(design.samples.images[:5])
    for index, row in enumerate(logits):
        data = expected[index * size : (index + 1) * size]
        np.testing.assert_array_equal(
            design.program.output.unpack(data, design.program.parameters).ravel(), row
        )
        assert design.program.output.pack(row, design.program.parameters) == data


def test_saving_a_loaded_design_gives_the_same_bytes(folder: Path, design: Design) -> None:
    for path, data in contents(design).items():
        assert (folder / path).read_bytes() == data, path


def test_two_compilations_give_the_same_bytes(tmp_path: Path) -> None:
    """In two processes whose hashes of strings differ, and whose caches are empty."""
    places, running = [tmp_path / seed for seed in ("1", "2")], []
    for place in places:
        command = [sys.executable, "-m", "hlsgen", "compile", "awkward", "--array", "2x4x4", "-o", str(place)]
        own = {"PYTHONHASHSEED": place.name, "XDG_CACHE_HOME": str(tmp_path / f"cache{place.name}")}
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | own))
    assert [process.wait() for process in running] == [0, 0]
    first, second = (
        {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in places
    )
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


def test_no_path_of_this_machine_is_in_the_folder(folder: Path) -> None:
    root = str(Path(__file__).resolve().parents[2]).encode()
    for path in folder.rglob("*"):
        if path.is_file() and "build" not in path.relative_to(folder).parts:
            assert root not in path.read_bytes(), path


def test_a_changed_or_foreign_folder_is_refused(design: Design, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="must be empty, new, or a build folder of hlsgen"):
        design.save(tmp_path)
    with pytest.raises(UsageError, match="must be a folder, not a file"):
        design.save(tmp_path / "mine.txt")
    copy = tmp_path / "copy"
    design.save(copy)
    (copy / "left.over").touch()
    program = (copy / "program.txt").read_text()
    (copy / "program.txt").write_text(program.replace("macs ", "macs 1"))
    (copy / "graph.safetensors").unlink()
    with pytest.raises(UsageError) as caught:
        Design.load(copy)
    assert [(Path(p.what.split()[0]).name, p.why) for p in caught.value.problems] == [
        ("graph.safetensors", "no such file or directory"),
        ("program.txt", "the file was changed"),
    ]
    design.save(copy)
    assert str(Design.load(copy).program) == str(design.program)
    assert (copy / "left.over").exists()


def test_a_recompilation_removes_what_is_no_longer_made(design: Design, tmp_path: Path) -> None:
    place = tmp_path / "again"
    design.save(place)
    (place / TRACED).write_text("of an earlier machine")
    bare = Samples(design.samples.images[:4])
    dataclasses.replace(design, samples=bare, quantization={}).save(place)
    assert not (place / TRACED).exists()
    assert not (place / "data/labels.npy").exists()
    assert not (place / "quantization.json").exists()
    assert len(Design.load(place).samples) == 4
