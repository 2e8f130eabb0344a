# SPDX-License-Identifier: Apache-2.0
"""run_hls.tcl in tclsh, with the tool's commands replaced by stubs that record their arguments."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

from hlsgen.emit.hls import hls
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape

COMMANDS = (
    "open_project", "set_top", "add_files", "open_solution", "set_part", "create_clock",
    "csim_design", "csynth_design", "cosim_design", "export_design",
)  # fmt: skip


def run(folder: Path, *arguments: str) -> list[list[str]]:
    """The tool commands that the script calls, as lists of words."""
    tclsh = shutil.which("tclsh")
    if tclsh is None:
        pytest.skip("tclsh is not installed")
    result = lower(integer_vit(TINY), ArrayShape(rows=2, columns=2, depth=2))
    script = folder / "build" / "hls" / "run_hls.tcl"
    script.parent.mkdir(parents=True)
    script.write_text(hls(result.program, result.image, part="xczu9eg-ffvb1156-2-e")["hls/run_hls.tcl"])
    stubs = "\n".join(
        f'proc {name} args {{ puts [join [linsert $args 0 {name}] "\\t"] }}' for name in COMMANDS
    )
    driver = folder / "driver.tcl"
    driver.write_text(
        f"{stubs}\nset script [lindex $argv 0]\nset argv [lrange $argv 1 end]\nsource $script\n"
    )
    done = subprocess.run(
        [tclsh, driver, script, *arguments], capture_output=True, text=True, check=False, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_default_flow(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    build = folder / "build"
    data = [str(build / "data" / name) for name in ("image.bin", "inputs.bin", "expected.bin")]
    names = "image.bin inputs.bin expected.bin"
    assert run(folder) == [
        ["open_project", "-reset", "hlsgen_hls"],
        ["set_top", "hlsgen_top"],
        ["add_files", str(build / "hls" / "top.cpp"), "-cflags", "-std=c++17"],
        ["add_files", "-tb", str(build / "hls" / "tb.cpp"), "-cflags", "-std=c++17 -Wno-unknown-pragmas"],
        *(["add_files", "-tb", path] for path in data),
        ["open_solution", "-reset", "solution", "-flow_target", "vivado"],
        ["set_part", "xczu9eg-ffvb1156-2-e"],
        ["create_clock", "-period", "5.000", "-name", "default"],
        ["csim_design", "-argv", names],
        ["csynth_design"],
        ["export_design", "-format", "ip_catalog"],
    ]


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        (("csim",), ["csim_design"]),
        (("synth",), ["csynth_design"]),
        (("synth", "cosim"), ["csynth_design", "cosim_design"]),
        (("-f", "run_hls.tcl", "export"), ["export_design"]),
    ],
)
def test_chosen_steps(tmp_path: Path, steps: tuple[str, ...], last: list[str]) -> None:
    called = [words[0] for words in run(tmp_path, *steps)]
    assert called[called.index("create_clock") + 1 :] == last
