# SPDX-License-Identifier: Apache-2.0
"""The Gowin board: the PLL's dividers, and whole images over the serial port."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.board_case import FAST, board_case, lowered
from support.graphs import TINY

from hlsgen.boards import load_board
from hlsgen.emit.gowin.project import TOP, gowin_project
from hlsgen.emit.rtl import convert
from hlsgen.errors import UsageError
from hlsgen.rtl.board.top import Serial
from hlsgen.rtl.gowin.pll import PLL
from hlsgen.rtl.gowin.top import GowinTop
from hlsgen.sim.runner import simulate

TESTS = ("images", "truncated")
RATE = Serial(baud=5_400_000, timeout_bits=FAST.timeout_bits)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_images_over_the_serial_port(tmp_path: Path) -> None:
    found = lowered(TINY, 1, 2, 2, 4)
    top = GowinTop(found.program, found.image.pack(), core_mhz=54.0, clock_mhz=27.0, serial=RATE, pll=False)
    environ = board_case(
        TINY, found, tmp_path, serial=RATE, mhz=27.0, clock=GowinTop.CLOCK_PIN, lights=GowinTop.LIGHTS
    )
    passed = simulate(
        convert(top, TOP),
        "support.bench_board_top",
        tmp_path,
        top=TOP,
        simulator="icarus",
        tests=TESTS,
        environ=environ,
    )
    assert sorted(passed) == sorted(TESTS)


@pytest.mark.parametrize(
    ("wanted", "dividers"),
    [
        (54.0, (1, 2, 16)),
        (27.0, (1, 1, 32)),
        (81.0, (1, 3, 8)),
        (40.5, (2, 3, 16)),
        (60.0, (9, 20, 16)),
        (108.0, (1, 4, 8)),
    ],
)
def test_dividers(wanted: float, dividers: tuple[int, int, int]) -> None:
    pll = PLL.find(27.0, wanted)
    assert (pll.reference, pll.feedback, pll.post) == dividers
    assert pll.mhz == wanted
    assert 500 <= pll.oscillator_mhz <= 1250
    assert 27 / pll.reference >= 3


@pytest.mark.parametrize("wanted", [1.0, 3.9, 0.0, -5.0, 700.0, 1e6])
def test_a_frequency_that_no_dividers_make(wanted: float) -> None:
    with pytest.raises(UsageError, match="core_mhz must be what the rPLL makes of 27 MHz, not"):
        PLL.find(27.0, wanted)


def test_the_board_has_pins_for_all_ports() -> None:
    found = lowered(TINY, 1, 2, 2, 4)
    text = convert(GowinTop(found.program, found.image.pack(), core_mhz=54.0, clock_mhz=27.0), TOP)
    project = gowin_project(load_board("tang-nano-20k"), text)
    assert project[f"{TOP}.cst"].count("IO_LOC") == 9
    assert text.count("rPLL") == 1
    assert '.FCLKIN("27")' in text
    assert ".FBDIV_SEL(" in text
