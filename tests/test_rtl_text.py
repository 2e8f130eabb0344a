# SPDX-License-Identifier: Apache-2.0
"""Verilog from the cache, from this process and from another."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

from hlsgen.emit.rtl import PATH, verilog
from hlsgen.errors import ToolFailed
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.parameters import MachineParameters
from hlsgen.rtl_text import Generator, rtl_text


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
    assert text == verilog(parameters)[PATH]
    (kept,) = (tmp_path / "rtl").glob("*.v")
    assert kept.read_text() == text
    kept.write_text("from the cache")
    assert rtl_text(parameters) == "from the cache"
    with Generator() as generator:
        generator.start(parameters)
        assert generator.text(parameters) == "from the cache"


def test_what_was_not_asked_for_is_made_here(parameters: MachineParameters) -> None:
    with Generator() as generator:
        assert generator.text(parameters) == verilog(parameters)[PATH]


def test_a_generator_that_fails_says_why(
    parameters: MachineParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "javascript")
    with Generator() as generator:
        generator.start(parameters)
        with pytest.raises(ToolFailed, match="the RTL generator failed") as caught:
            generator.text(parameters)
    assert "Could not find an acceptable Yosys binary" in str(caught.value)
