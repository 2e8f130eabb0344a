# SPDX-License-Identifier: Apache-2.0
"""docs/registers.md is what `make table` writes."""

from __future__ import annotations

from pathlib import Path

from hlsgen.emit.registers_page import registers_page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "registers.md").read_text("utf-8") == registers_page()


def test_the_text_of_the_page_is_no_wider_than_that_of_others() -> None:
    lines = registers_page().splitlines()
    assert [line for line in lines if len(line) > 140 and not line.startswith("|")] == []
