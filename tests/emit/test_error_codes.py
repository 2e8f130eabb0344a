# SPDX-License-Identifier: Apache-2.0
"""Error codes reach everyone from their owner: hosts, C++ and docs know each of them, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hlsgen.emit.render import render
from hlsgen.machine.format.interface import DriverError, Error, FrameError, error_text
from hlsgen.version import __version__

ROOT = Path(__file__).resolve().parents[2]
CODES = {int(error): error.text for error in Error if error}


def _errors(template: str) -> dict[int, str]:
    """The dictionary ERRORS of a host program."""
    names: dict[str, object] = {"__name__": "host", "__file__": "host.py"}
    exec(render(template, {}), names)  # noqa: S102
    found = names["ERRORS"]
    assert isinstance(found, dict)
    return found


def test_the_driver_knows_every_code() -> None:
    assert _errors("vivado/hlsgen_driver.py") == CODES


def test_the_host_at_a_serial_port_knows_every_code_of_machine_and_board() -> None:
    board = {int(error): error.text for error in FrameError}
    assert not board.keys() & CODES.keys()
    assert _errors("serial/hlsgen_host.py") == CODES | board


@pytest.mark.parametrize("error", [*(error for error in Error if error), *FrameError, *DriverError])
def test_every_code_says_what_it_means_and_what_to_do(error: Error | FrameError | DriverError) -> None:
    assert 0 < error < 1 << 8  # the register's code has a byte
    assert error.meaning
    assert error.fix
    assert error.text == f"{error.meaning}; {error.fix}"


def test_no_two_codes_are_equal() -> None:
    codes = [int(error) for kind in (Error, FrameError, DriverError) for error in kind]
    assert len(set(codes)) == len(codes)


def test_codes_have_texts() -> None:
    assert error_text(Error.READ) == (
        "a read got an error response; make all of Image, input and workspace readable"
    )
    assert error_text(9) == "a code that this version does not know: 9"


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs" / "registers.md").read_text("utf-8")
    listed = {int(code, 0) for code in re.findall(r"^\| (\d+|0x[48]\w) \| `[A-Z_]+` \|", page, re.MULTILINE)}
    assert listed == CODES.keys() | set(FrameError) | set(DriverError)


def test_the_generated_code_has_the_same_codes() -> None:
    text = render("hls/interface.hpp", {"version": __version__})
    stated = {name.upper(): int(code) for name, code in re.findall(r" error_(\w+) = (\d+);", text)}
    assert stated == {error.name: error.value for error in Error if error}
    used = "".join(path.read_text("utf-8") for path in (ROOT / "templates" / "hls").glob("*"))
    known = {f"error_{name.lower()}" for name in stated}
    assert set(re.findall(r"\berror_[a-z]+\b", used)) <= known
