# SPDX-License-Identifier: Apache-2.0
"""The ECP5 board: dividers, checks, whole images over the serial port, memory inference."""

from __future__ import annotations

import dataclasses
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.board_case import FAST, board_case, lowered
from support.graphs import TINY, Vit

from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.emit.rtl import convert
from hlsgen.errors import UsageError
from hlsgen.lower.lower import Lowered
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.rtl.board.top import Lights, Serial, memory_map
from hlsgen.rtl.ecp5.pll import PLL
from hlsgen.rtl.ecp5.top import Ecp5Top
from hlsgen.sim.runner import simulate

SMALL = Vit(image=(1, 4, 4), width=8, heads=2, blocks=1, hidden=8, classes=5, seed=6)
WIDE = dataclasses.replace(TINY, classes=9)
"""Logits in several blocks: with row width 2 or 4 they don't lie together."""


def ecp5_top(found: Lowered, **options: Any) -> Ecp5Top:
    """The shipped board's top."""
    return Ecp5Top(found.program, found.image.pack(), core_mhz=80.0, clock_mhz=25.0, **options)


def board_text(found: Lowered, *, damaged: bool) -> str:
    """The board top for simulation, at the speed of the board's own clock."""
    top = ecp5_top(found, serial=FAST, target="generic", pll=False)
    if damaged:
        top._image = bytes(4) + top._image[4:]
    return convert(top, "ecp5_top")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(
    ("vit", "array", "tests"),
    [
        (TINY, (1, 2, 2, 4), ("images", "truncated", "slow", "foreign", "hasty")),
        (SMALL, (2, 4, 4, 16), ("images",)),
        (WIDE, (2, 2, 2, 16, 2), ("images",)),
        pytest.param(WIDE, (4, 4, 4, 16, 4), ("images",), marks=pytest.mark.slow),
        (TINY, (1, 2, 2, 4), ("damaged",)),
    ],
    ids=("tiny", "small", "row width 2", "row width 4", "damaged"),
)
def test_images_over_the_serial_port(
    vit: Vit, array: tuple[int, ...], tests: tuple[str, ...], tmp_path: Path
) -> None:
    found = lowered(vit, *array)
    environ = board_case(
        vit, found, tmp_path, serial=FAST, mhz=25.0, clock=Ecp5Top.CLOCK_PIN, lights=Lights()
    )
    passed = simulate(
        board_text(found, damaged="damaged" in tests),
        "support.bench_board_top",
        tmp_path,
        top="ecp5_top",
        simulator="icarus",
        tests=tests,
        environ=environ,
    )
    assert sorted(passed) == sorted(tests)


@pytest.mark.parametrize(
    ("wanted", "dividers", "made"),
    [
        (80.0, (5, 16), 80.0),
        (100.0, (1, 4), 100.0),
        (25.0, (1, 1), 25.0),
        (96.5, (7, 27), 675 / 7),
        (62.5, (2, 5), 62.5),
        (133.333, (8, 42), 131.25),
        (400.0, (1, 16), 400.0),
    ],
)
def test_dividers(wanted: float, dividers: tuple[int, int], made: float) -> None:
    if made < wanted * 0.995:
        with pytest.raises(UsageError, match=f"not {wanted:g}"):
            PLL.find(25.0, wanted)
        return
    pll = PLL.find(25.0, wanted)
    assert (pll.reference, pll.feedback) == dividers
    assert pll.mhz == made
    assert 400 <= pll.oscillator_mhz <= 800
    assert 25 / pll.reference >= 3.125


@pytest.mark.parametrize("wanted", [1.0, 0.0, -5.0, 410.0, 1e6, 3.2])
def test_a_frequency_that_no_dividers_make(wanted: float) -> None:
    with pytest.raises(UsageError, match="core_mhz must be what the PLL makes of 25 MHz, not"):
        PLL.find(25.0, wanted)


def test_the_rate_must_fit_the_clock() -> None:
    assert Serial().divisor(80.0) == 80
    assert Serial(baud=115_200).divisor(80.0) == 694
    for baud in (0, -1, 25_000_000, 5_500_000):
        with pytest.raises(UsageError, match=f"baud must be within 2 % of 25 MHz .* not {baud}"):
            Serial(baud=baud).divisor(25.0)
    with pytest.raises(UsageError, match="timeout_bits must be at least 20, not 19"):
        Serial(timeout_bits=19).divisor(80.0)


def test_program_and_image_must_belong_together() -> None:
    found, other = lowered(TINY, 1, 2, 2, 4), lowered(SMALL, 2, 4, 4, 16)
    with pytest.raises(UsageError, match="image must have the build id"):
        memory_map(found.program, other.image.pack())
    rows = dataclasses.replace(found.program.output, rows=1 << 17)
    with pytest.raises(UsageError, match="the outputs must have at most 65536 integers, not"):
        memory_map(dataclasses.replace(found.program, outputs=(rows,)), found.image.pack())


@cache
def shipped_text(shape: tuple[int, int, int]) -> str:
    """The board's Verilog for an array."""
    return convert(ecp5_top(lowered(TINY, *shape, 4)), "ecp5_top")


def test_the_board_has_pins_for_all_ports() -> None:
    text = shipped_text((1, 2, 2))
    project = ecp5_project(load_board("ulx3s-85f"), text)
    assert project["ecp5_top.lpf"].count("LOCATE") == 11
    assert text.count("EHXPLLL") == 1
    assert 'ICP_CURRENT = "12"' in text
    assert ".CLKI_DIV(" in text


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 4, 4), (2, 1, 2)])
def test_the_blocks_of_the_array_are_those_that_a_project_places(shape: tuple[int, int, int]) -> None:
    rows, columns, depth = shape
    found = lowered(TINY, *shape, 4)
    top = ecp5_top(found)
    assert [len(blocks) for blocks in top.sums] == [depth] * (rows * ceil_div(columns, 2))
    text = shipped_text(shape)
    modules = {f"top.core.array.{name}" for name in re.findall(r"top\.core\.array\.([a-z]+_\d\S+) ", text)}
    assert {path for blocks in top.sums for path in blocks} == {f"{module}/block" for module in modules}
    assert ecp5_top(found, target="generic").sums == []
