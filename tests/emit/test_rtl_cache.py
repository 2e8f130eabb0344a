# SPDX-License-Identifier: Apache-2.0
"""Verilog from the cache, from this process and from another."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

from hlsgen.emit.rtl import verilog
from hlsgen.emit.rtl_cache import Generator, rtl_text
from hlsgen.errors import ToolFailed
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.store.cache import text_seal


@pytest.fixture
def parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineParameters:
    """A small machine, and an empty cache."""
    monkeypatch.setenv("HLSGEN_CACHE", str(tmp_path))
    return lower(integer_vit(TINY), ArrayShape(rows=1, columns=2, depth=2, bus_bytes=8)).program.parameters


def test_another_process_gives_the_same_text_and_keeps_it(
    parameters: MachineParameters, tmp_path: Path
) -> None:
    with Generator() as generator:
        generator.start(parameters)
        text = generator.text(parameters)
    assert text == verilog(parameters)
    (kept,) = (tmp_path / "rtl").glob("*.v")
    whole = kept.read_bytes()
    assert whole.decode().partition("\n")[2] == text
    _mark(kept, "from the cache")
    assert rtl_text(parameters) == "from the cache"
    with Generator() as generator:
        generator.start(parameters)
        assert generator.text(parameters) == "from the cache"


def _mark(entry: Path, text: str) -> None:
    """Put another text into an entry, with the right digest."""
    entry.write_text(f"{text_seal(entry, text.encode())}\n{text}")


def test_a_damaged_or_foreign_entry_is_made_anew(
    parameters: MachineParameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def generate(*_: object, **__: object) -> str:
        made.append("made")
        return "module top();\nendmodule\n"

    monkeypatch.setattr("hlsgen.emit.rtl_cache._generate", generate)
    text = rtl_text(parameters)
    assert rtl_text(parameters) == text
    assert made == ["made"]
    (entry,) = (tmp_path / "rtl").glob("*.v")
    whole, other = entry.read_bytes(), entry.with_name("0123.v")
    _mark(other, "of another machine")
    for number, data in enumerate(
        [
            b"",
            whole[:-1],
            whole + b"\n",
            whole.replace(b"top", b"pot"),
            whole.partition(b"\n")[2],
            b"\xff" + whole,
            other.read_bytes(),
        ],
        2,
    ):
        entry.write_bytes(data)
        assert rtl_text(parameters) == text
        assert len(made) == number
        assert entry.read_bytes() == whole


def test_what_was_not_asked_for_is_made_here(parameters: MachineParameters) -> None:
    with Generator() as generator:
        assert generator.text(parameters) == verilog(parameters)


def test_a_generator_that_fails_says_why(
    parameters: MachineParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "javascript")
    with Generator() as generator:
        generator.start(parameters)
        with pytest.raises(ToolFailed, match="the RTL generator failed") as caught:
            generator.text(parameters)
    assert "Could not find an acceptable Yosys binary" in str(caught.value)
