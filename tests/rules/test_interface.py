# SPDX-License-Identifier: Apache-2.0
"""Registers, bits, codes, counters and the trace's record are typed in one file, and nowhere else."""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

import pytest

from hlsgen.machine.format.interface import (
    COUNTERS,
    REASONS,
    TRACE_RECORD,
    ControlBit,
    DriverError,
    Error,
    FrameError,
    Header,
    Register,
    StatusBit,
)

ROOT = Path(__file__).resolve().parents[2]
OWNER = ROOT / "hlsgen/machine/format/interface.py"
GENERATED = ROOT / "docs/registers.md"
FOLDERS = ("hlsgen", "rtl", "sim", "templates", "benchmarks", "scripts", "examples", "docs", "tests/support")
LINKS = {"rtl", "sim", "templates", "examples"}  # below hlsgen
SUFFIXES = {".py", ".j2", ".hpp", ".cpp", ".c", ".h", ".md", ".v"}


def _sources() -> dict[str, str]:
    """Path to text of every source but the owner and what is generated and kept."""
    files = {
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }
    linked = {path for path in files if path.relative_to(ROOT).parts[1] in LINKS}
    own = {path for path in files - linked if path not in (OWNER, GENERATED)}
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted(own)}


SOURCES = _sources()


def _found(pattern: str) -> list[str]:
    return [
        f"{path}: {match[0].strip()}"
        for path, text in SOURCES.items()
        for match in re.finditer(pattern, text, re.MULTILINE)
    ]


def test_the_search_reads_what_it_should() -> None:
    some = {"sim/harness/host.hpp", "rtl/outside/registers.py", "templates/vivado/hlsgen_driver.py.j2"}
    assert some <= SOURCES.keys()
    assert OWNER.is_file()


def test_no_register_is_accessed_by_number() -> None:
    assert _found(r"\b(?:read|write|write64)\(\s*0x[0-9A-Fa-f]+\b") == []


NUMBER = r"(?:0x[0-9A-Fa-f]+|\d+)"
ASSIGNMENT = re.compile(
    rf"^ *(?P<names>[A-Z_]+(?:, [A-Z_]+)*) = (?P<numbers>{NUMBER}(?:, {NUMBER})*|range\(\d.*\))", re.MULTILINE
)
ALLOWED = {("hlsgen/machine/format/image.py", "VERSION", 2)}
"""The format's version, not the code of the error about it."""


def _assigned() -> list[tuple[str, str, int]]:
    """Path, name and number of every assignment of plain numbers to names in capital letters."""
    found = []
    for path, text in SOURCES.items():
        for match in ASSIGNMENT.finditer(text):
            numbers = match["numbers"]
            values = eval(numbers) if numbers[0] == "r" else [int(item, 0) for item in numbers.split(", ")]
            found += [(path, *pair) for pair in zip(match["names"].split(", "), values, strict=False)]
    return found


@pytest.mark.parametrize("kind", [Register, ControlBit, StatusBit, Error, FrameError, DriverError, Header])
def test_no_name_is_given_its_number_again(kind: type[IntEnum]) -> None:
    """Neither `NAME = 4` nor `A, NAME, B = 0, 4, 8` nor, in C++, `error_name = 3`."""
    own = {(item.name, int(item)) for item in kind if item.name != "NONE"}
    assert [item for item in _assigned() if item[1:] in own and item not in ALLOWED] == []
    names = "|".join(item.name for item in kind)
    assert _found(rf"(?i)constexpr[^=\n]*\b(?:register|control|status|error|header)_(?:{names}) = \d") == []


@pytest.mark.parametrize("error", [*(error for error in Error if error), *FrameError, *DriverError])
def test_no_text_of_an_error_is_written_again(error: Error | FrameError | DriverError) -> None:
    assert _found(re.escape(error.meaning)) == []


def test_no_list_of_counters_and_no_label_is_typed() -> None:
    """The names stand as ports and attributes in the RTL; a list of them, or a label, only in the owner."""
    pairs = [rf"[\"']{a.title}[\"'][^\n]*[\"']{b.title}[\"']" for a, b in pairwise(COUNTERS)]
    ports = ("rtl/core/", "tests/support/stub_core.py")
    assert [item for item in _found("|".join(pairs)) if not item.startswith(ports)] == []
    labels = [reason.label for reason in REASONS if reason.label.startswith("waiting")]
    assert [item for label in labels for item in _found(rf"[\"']{label}")] == []


def test_the_record_of_the_trace_is_typed_once() -> None:
    """No other NumPy type, and no other list of ports, has its fields."""
    names = "|".join(field.name for field in TRACE_RECORD if field.name not in ("row", "word"))
    assert _found(rf"[\"'](?:{names})[\"'],\s*[\"']<?u\d[\"']") == []
    assert _found(r"[\"']kind[\"'],\s*[\"']head[\"']") == []
