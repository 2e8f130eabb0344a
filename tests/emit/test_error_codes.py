# SPDX-License-Identifier: Apache-2.0
"""One list of error codes: what the hosts say and what the C++ and docs/design.md state are the RTL's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hlsgen.rtl.board.frames import FrameError
from hlsgen.rtl.outside.header import Error
from hlsgen.rtl.outside.registers import SETTINGS, STREAMED_SETTINGS
from hlsgen.sim import testbench

ROOT = Path(__file__).resolve().parents[2]
CODES = {error.value for error in Error if error}


def _errors(path: str) -> dict[int, str]:
    """The dictionary ERRORS of a host program's template."""
    text = (ROOT / "templates" / path).read_text("utf-8")
    found = re.search(r"^ERRORS = (\{.*?^\})", text, re.MULTILINE | re.DOTALL)
    assert found
    return ast.literal_eval(found[1])


def test_hosts_know_every_code() -> None:
    assert _errors("vivado/hlsgen_driver.py.j2").keys() == CODES
    board = _errors("ecp5/hlsgen_host.py.j2")
    assert board.keys() <= CODES | set(FrameError)
    assert set(FrameError) | {Error.BUILD, Error.WATCHDOG, Error.LIMIT} <= board.keys()


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    listed = re.search(r"^Errors: (.*?)\.$", page, re.MULTILINE | re.DOTALL)
    assert listed
    assert {int(code) for code in re.findall(r"(?:^|, )\s*(\d+) ", listed[1].replace("\n", " "))} == CODES


def test_the_generated_code_has_the_same_codes() -> None:
    text = (ROOT / "templates" / "hls" / "image.hpp").read_text("utf-8")
    names = {"magic": Error.MAGIC, "version": Error.VERSION, "foreign": Error.BUILD, "task": Error.TASK}
    stated = {name: int(code) for name, code in re.findall(r"error_(\w+) = (\d+);", text)}
    assert stated == names


def test_hosts_write_the_registers_that_there_are() -> None:
    """Offsets in the bench and in the driver, which import nothing of the generator."""
    offsets = {name: offset for name, _, offset, _ in (*SETTINGS, *STREAMED_SETTINGS)}
    driver = (ROOT / "templates" / "vivado" / "hlsgen_driver.py.j2").read_text("utf-8")
    names = dict(zip(*_assigned(driver, "WINDOW_BASE"), strict=True))
    names |= dict(zip(*_assigned(driver, "IMAGE_BASE"), strict=True))
    assert names.items() <= {name.upper(): offset for name, offset in offsets.items()}.items()
    assert names["LIMIT"] == offsets["limit"]
    assert offsets["watchdog"] == testbench.WATCHDOG
    assert offsets["task"] == testbench.TASK
    assert offsets["limit"] == testbench.LIMIT


def _assigned(text: str, first: str) -> tuple[list[str], list[int]]:
    """Names and values of the assignment that begins with a name."""
    found = re.search(rf"^({first}.*) = (.*)$", text, re.MULTILINE)
    assert found
    return found[1].split(", "), [int(value, 0) for value in found[2].split(", ")]
