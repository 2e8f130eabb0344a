# SPDX-License-Identifier: Apache-2.0
"""Simulators are built around the library and the precompiled headers that the cache keeps."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

import hlsgen
from hlsgen.machine.time.cycles import predict
from hlsgen.sim import cosim, library
from hlsgen.store.cache import cache_folder

VERILOG = "module top(input [7:0] a, output [7:0] b); assign b = a + 1; endmodule\n"
MAIN = """#include <cstdio>
#include "Vtop.h"
int main() {
    Vtop top;
    top.a = 41;
    top.eval();
    std::printf("%d", top.b);
}
"""


@pytest.mark.parametrize("quick", [False, True])
def test_every_file_of_a_simulator_is_compiled_with_the_header_that_is_kept(
    quick: bool, tmp_path: Path
) -> None:
    (tmp_path / "top.v").write_text(VERILOG)
    (tmp_path / "main.cpp").write_text(MAIN)
    options = ("--output-split", "100", "-CFLAGS", "-H", "--top-module", "top", "top.v", "main.cpp")
    shown = library.build(tmp_path, options, "simulator", quick=quick)
    assert subprocess.check_output([tmp_path / "simulator"]) == b"42"
    used = re.findall(rf"^! {cache_folder()}/verilated-\w+\.h\.(\w+)\.gch/\S+$", shown, re.MULTILINE)
    compiled = list((tmp_path / "obj").glob("*.o"))
    assert len(used) == len(compiled)
    assert set(used) == ({"slow"} if quick else {"fast", "slow"})
    assert not list((tmp_path / "obj").glob("verilated*"))


def test_what_is_kept_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first = library.environment()
    monkeypatch.setattr(library, "_make", None)
    assert library.environment() == first
    assert library.environment(quick=True) != first


def test_versions_of_before_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cache of its own, where nothing is compiled."""
    monkeypatch.setenv("HLSGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "_make", lambda name, work, _: (work / name).touch())
    old = tmp_path / f"{library.PREFIX}0123.lib"
    old.mkdir()
    (old / library.ARCHIVE).touch()
    os.truncate(old / library.ARCHIVE, library.KEPT_BYTES)
    os.utime(old, (0, 0))
    flags = library.environment()["MAKEFLAGS"]
    assert not old.exists()
    (kept,) = tmp_path.glob(f"{library.PREFIX}*.lib")
    assert str(kept / library.ARCHIVE) in flags


@pytest.mark.parametrize("least", [0, 1])
def test_the_level_optimises_for_many_cycles(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as two images have are many, one more is not reached."""
    design = hlsgen.compile(integer_vit(TINY), array=(1, 2, 2))
    monkeypatch.setattr(library, "QUICK_CYCLES", 2 * predict(design.program, design.image).cycles + least)
    asked: list[bool] = []

    def build(*_: object, quick: bool, **__: object) -> None:
        asked.append(quick)
        raise InterruptedError

    monkeypatch.setattr(cosim, "build", build)
    with pytest.raises(InterruptedError):
        design.simulate("rtl", samples=2)
    assert asked == [bool(least)]
