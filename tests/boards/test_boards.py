# SPDX-License-Identifier: Apache-2.0
"""Boards: what is shipped, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsgen.boards import known_boards, load_board, parse_board
from hlsgen.errors import UsageError

TITLE = "text of letters, digits and _.:() /+-, not beginning with a sign"
MINIMAL = """
title = "A board"
family = "ecp5"
part = "LFE5U-25F-6BG256C"
package = "CABGA256"
speed_grade = "6"
device = "25k"
[resources]
lut = 24288
ff = 24288
dsp = 28
ram_blocks = 56
[memory]
image = "on_chip"
bus_bytes = 8
[defaults]
array = "2x2x4"
core_mhz = 50
usable_dsp = 0.9
[clock]
port = "clk"
mhz = 25
[ports]
clk = { pins = "P6", direction = "in" }
led = { pins = "T6 R7", direction = "out", DRIVE = "4" }
[port_attributes]
IO_TYPE = "LVCMOS33"
"""


def test_shipped_boards() -> None:
    assert known_boards() == ("kv260", "lfe5u-85f", "tang-nano-20k", "ulx3s-85f", "zcu102")
    parts = {name: load_board(name).part for name in known_boards()}
    assert parts == {
        "kv260": "xck26-sfvc784-2LV-c",
        "lfe5u-85f": "LFE5U-85F-6BG381C",
        "tang-nano-20k": "GW2AR-LV18QN88C8",
        "ulx3s-85f": "LFE5U-85F-6BG381C",
        "zcu102": "xczu9eg-ffvb1156-2-e",
    }
    assert [name for name in known_boards() if not load_board(name).has_pins] == ["lfe5u-85f"]


def test_ulx3s_pins() -> None:
    board = load_board("ULX3S-85F")
    assert (board.clock_port, board.clock_mhz, board.ports["clk25"].pins) == ("clk25", 25.0, ("G2",))
    assert board.ports["uart_tx"].pins == ("L4",)
    assert board.ports["uart_rx"].pins == ("M1",)
    assert board.ports["led"].pins == ("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3")
    assert board.ports["led"].attributes == {"IO_TYPE": "LVCMOS33", "DRIVE": "4"}


def test_an_unknown_board_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load_board("ulx3s")
    assert str(caught.value) == (
        "board must be one of kv260, lfe5u-85f, tang-nano-20k, ulx3s-85f, zcu102, or the path of a "
        "TOML file, not 'ulx3s'\n"
        "  fix: did you mean ulx3s-85f? see `hlsgen/boards/*.toml` for how a board is described"
    )
    with pytest.raises(UsageError, match=r"not 'qqq'\n  fix: see"):
        load_board("qqq")


def test_a_board_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    board = load_board(str(path))
    assert (board.name, board.array, board.resources.dsp) == ("mine", (2, 2, 4), 28)
    with pytest.raises(UsageError, match=r"board file .*absent.toml: No such file"):
        load_board(str(tmp_path / "absent.toml"))


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = MINIMAL.replace('"ecp5"', '"spartan"').replace("dsp = 28", "dsp = -1").replace('"2x2x4"', '"2x2"')
    text = text.replace('"T6 R7"', '"P6 R7"').replace("bus_bytes = 8", "bus_bytes = 7\ncolour = 3")
    text = text.replace('port = "clk"', 'port = "clock"').replace('title = "A board"', "")
    with pytest.raises(UsageError) as caught:
        parse_board("mine", text)
    assert sorted(problem.what for problem in caught.value.problems) == [
        "board mine: clock.port must be a key of [ports], not 'clock'",
        "board mine: defaults.array must be ROWSxCOLUMNSxDEPTH, not '2x2'",
        "board mine: family must be one of ecp5, zynqmp, gowin, not 'spartan'",
        "board mine: memory.bus_bytes must be one of 4, 8, 16, 32, 64, not 7",
        "board mine: pin P6 belongs to clk and to led",
        "board mine: resources.dsp must be an integer in 0..100000000, not -1",
        f"board mine: title is missing: it must be {TITLE}",
        "board mine: unknown key memory.colour",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A board"', 'title = "$(reboot)"', r"title must be text of letters, digits"),
        ('"P6"', '"P6;rm"', r"ports.clk.pins must be pin names with spaces between them, not 'P6;rm'"),
        ('"LVCMOS33"', '"a b"', r"port_attributes.IO_TYPE must be a word of letters, digits and _, not"),
        ("[clock]", "[clock", r"board mine: not TOML: "),
        ("core_mhz = 50", "core_mhz = 0.0", r"defaults.core_mhz must be a number in 1..1000, not 0.0"),
    ],
)
def test_what_would_reach_a_tool_is_checked(old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_board("mine", MINIMAL.replace(old, new))


def test_sites_of_blocks() -> None:
    ulx3s = load_board("ulx3s-85f")
    assert (len(ulx3s.block_columns), ulx3s.multiplier_rows, ulx3s.ram_rows) == (
        13,
        (34, 58, 10),
        (46, 22, 70, 82),
    )
    assert load_board("zcu102").block_columns == ()
    sites = "[sites]\ncolumns = [4, 13, 20, 29, 38, 47, 56]\nmultiplier_rows = [10]\nram_rows = [22, 46]\n"
    assert parse_board("mine", MINIMAL + sites).block_columns == (4, 13, 20, 29, 38, 47, 56)
    with pytest.raises(UsageError) as caught:
        parse_board("mine", MINIMAL + sites.replace("[10]", "[10, 34]").replace("[22, 46]", "[22]"))
    assert [problem.what for problem in caught.value.problems] == [
        "board mine: sites.multiplier_rows must be such that 4 x columns x rows = 28, not [10, 34]",
        "board mine: sites.ram_rows must be such that 4 x columns x rows = 56, not [22]",
    ]
    with pytest.raises(UsageError) as caught:
        parse_board("mine", MINIMAL + "[sites]\ncolumns = [4, 4]\nram_rows = [-1]\nrow = 2\n")
    assert [problem.what for problem in caught.value.problems] == [
        "board mine: sites.columns must be a list of different non-negative integers, not [4, 4]",
        "board mine: sites.multiplier_rows is missing: it must be a list of different non-negative integers",
        "board mine: sites.ram_rows must be a list of different non-negative integers, not [-1]",
        "board mine: unknown key sites.row",
    ]
