# SPDX-License-Identifier: Apache-2.0
"""Every value of a board file is what it may be before it reaches a tool: one word, and no option."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsgen.boards import known_boards, load_board, parse_board
from hlsgen.boards.read import LARGEST
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.errors import UsageError

HOSTILE = (
    'a"b', "a'b", "a b", "-a", "--log FILE", "a\nb", "a\tb", "$(reboot)", "$a", "`reboot`", "a;b", "a|b",
    "a&b", "[exec a]", "]", "{a}", "{{ a }}", "{% a %}", "a\\", "a#b", "a%b", "a*", "a?", "a>b", "a=b", "a,b",
    "\u00e9", "a" * 300, "../../a", "", " ", "\u0661",
)  # fmt: skip
TITLE = "text of letters, digits and _.:() /+-, not beginning with a sign"
DEVICES = "12k, 25k, 45k, 85k, um-25k, um-45k, um-85k, um5g-25k, um5g-45k, um5g-85k"
PACKAGES = "CABGA256, CABGA381, CABGA554, CABGA756, CSFBGA285, TQFP144"
VERILOG = "module ecp5_top(clk);\n  input clk;\n  wire clk;\nendmodule\n"
ECP5 = """
title = "A board"
family = "ecp5"
part = "LFE5U-25F-6BG256C"
device = "25k"
package = "CABGA256"
speed_grade = "6"
programmer = "mine"
resources = { lut = 24288, ff = 24288, dsp = 28, ram_blocks = 56 }
memory = { image = "on_chip", bus_bytes = 8 }
defaults = { array = "2x2x4", core_mhz = 50, usable_dsp = 0.9 }
clock = { port = "clk", mhz = 25 }
port_attributes = { IO_TYPE = "LVCMOS33" }
[ports]
clk = { pins = "P6", direction = "in", PULLMODE = "UP" }
"""
ZYNQ = """
title = "A board"
family = "zynqmp"
part = "xczu9eg-ffvb1156-2-e"
package = "ffvb1156"
speed_grade = "-2"
device = "zu9"
programmer = "mine"
board_part = "xilinx.com:zcu102:part0"
resources = { lut = 274080, ff = 548160, dsp = 2520, ram_blocks = 1824 }
memory = { image = "external", bus_bytes = 16 }
defaults = { array = "8x16x8", core_mhz = 150.0, usable_dsp = 0.9 }
[ports]
led = { pins = "AG14", direction = "out", DRIVE = "4" }
[port_attributes]
IOSTANDARD = "LVCMOS33"
"""


def _quoted(value: str) -> str:
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\u{ord(c):04x}" for c in value) + '"'


def _texts() -> Iterator[tuple[str, str, str, str]]:
    """Board, key, value and where it stands, for every text that a board file holds."""
    for text in (ECP5, ZYNQ):
        for line in text.splitlines():
            parts = line.split('"')
            for index in range(1, len(parts), 2):
                key = parts[index - 1].rstrip(" =").split()[-1]
                yield text, key, parts[index], f'{parts[index - 1]}"{parts[index]}"'


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_of_a_board_is_an_option_or_several_words(hostile: str) -> None:
    accepted = []
    for board, key, value, place in _texts():
        changed = place.replace(f'"{value}"', _quoted(hostile))
        assert board.count(place) == 1
        try:
            parse_board("mine", board.replace(place, changed))
        except UsageError:
            continue
        accepted.append(key)
    assert sorted(accepted) == {
        "a b": ["pins", "pins", "title", "title"],  # two pins; a title is on lines of comments only
        "a\nb": ["pins", "pins"],
        "a\tb": ["pins", "pins"],
        "": ["board_part", "device", "programmer", "programmer"],
    }.get(hostile, [])


def test_the_boards_of_the_test_are_right() -> None:
    assert parse_board("mine", ECP5).ports["clk"].attributes == {"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"}
    assert parse_board("mine", ZYNQ).options["board_part"] == "xilinx.com:zcu102:part0"
    assert len(list(_texts())) == 28


@pytest.mark.parametrize("key", ["PULLMODE = ", "IO_TYPE = ", "clk = {"])
def test_keys_are_words_too(key: str) -> None:
    for hostile in HOSTILE:
        with pytest.raises(UsageError):
            parse_board("mine", ECP5.replace(key, _quoted(hostile) + key[key.index(" ") :]))


def test_all_values_that_no_tool_may_get_are_said_at_once() -> None:
    text = ECP5.replace('"25k"', '"85k --log FILE --pre-pack x.py"').replace('"CABGA256"', '"-256"')
    text = text.replace('speed_grade = "6"', 'speed_grade = "6 7"').replace('"mine"', '"$(reboot)"')
    text = text.replace("LFE5U-25F-6BG256C", "a;b").replace('"A board"', '"{{ a }}\\n"')
    with pytest.raises(UsageError) as caught:
        parse_board("mine", text)
    word = "a word of letters, digits and _.-, not beginning with a sign"
    assert [problem.what for problem in caught.value.problems] == [
        f"board mine: title must be {TITLE}, not '{{{{ a }}}}\\n'",
        f"board mine: part must be {word}, not 'a;b'",
        f"board mine: device must be one of {DEVICES}, not '85k --log FILE --pre-pack x.py'",
        f"board mine: package must be one of {PACKAGES}, not '-256'",
        "board mine: speed_grade must be one of 6, 7, 8, not '6 7'",
        f"board mine: programmer must be {word}, not '$(reboot)'",
    ]
    with pytest.raises(UsageError) as caught:
        parse_board("mine", ZYNQ.replace('"-2"', '"2"').replace("xilinx.com:", "xilinx.com"))
    assert [problem.what for problem in caught.value.problems] == [
        "board mine: speed_grade must be a speed grade like -2 or -2LV, not '2'",
        "board mine: board_part must be VENDOR:BOARD:PART, not 'xilinx.comzcu102:part0'",
    ]


def test_make_passes_each_value_as_one_word(tmp_path: Path) -> None:
    project = ecp5_project(parse_board("mine", ECP5), VERILOG.replace("ecp5_top", "top"), top="top")
    for path, text in project.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    make = ["make", "-n", "--no-print-directory", "program", "NEXTPNR=nextpnr", "YOSYS=yosys", "PACK=pack"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.replace("\\\n", "").splitlines()]
    (nextpnr,) = [line for line in lines if line[0] == "nextpnr"]
    assert nextpnr[1:6] == ["--25k", "--package", "CABGA256", "--speed", "6"]
    assert lines[-1] == ["openFPGALoader", "--board", "mine", "build/top.bit"]
    for value in ("'--25k'", "'CABGA256'", "'6'", "'mine'"):
        assert value in project["Makefile"]


@pytest.mark.parametrize("name", known_boards())
def test_shipped_boards_are_what_they_may_be(name: str) -> None:
    assert load_board(name).name == name


@pytest.mark.parametrize(
    ("stem", "name"),
    [("my board", "my_board"), ("..", "board"), ("-x", "x"), ("a\nb;c", "a_b_c"), ("a" * 99, "a" * 64)],
)
def test_a_boards_name_is_a_folder_and_an_option(stem: str, name: str) -> None:
    assert parse_board(stem, ECP5).name == name


def _fails(path: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        load_board(str(path))
    return str(caught.value)


def test_files_that_are_no_board(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'title = "\xff"')
    assert _fails(path) == f"board file {path} must be UTF-8 text: byte 9 is not"
    path.write_text("a = " + "[" * 5000)
    assert _fails(path) == "board a: not TOML of a board: nested too deeply"
    path.write_text("a = " + "1" * 5000)
    assert _fails(path).startswith("board a: not TOML: Exceeds the limit")
    path.write_text("#" * (LARGEST + 1))
    assert _fails(path) == f"board file {path} must be at most 65536 bytes, not 65537"
    assert _fails(tmp_path / ("a" * 300 + ".toml")).endswith(": File name too long")
    assert _fails("a\0b.toml") == "board file 'a\\x00b.toml': embedded null byte"
    (tmp_path / "folder.toml").mkdir()
    assert _fails(tmp_path / "folder.toml").endswith(": Is a directory")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"2x2x4"', '"0x3x4"', ["defaults.array: rows must be in 1..64, not 0",
                                "defaults.array: columns must be a power of two in 1..64, not 3"]),
        ('"2x2x4"', f'"{"9" * 5000}x2x4"',
         [f"defaults.array must be ROWSxCOLUMNSxDEPTH, not '{'9' * 76}..."]),
        ("lut = 24288", "lut = 100000001",
         ["resources.lut must be an integer in 0..100000000, not 100000001"]),
        ("core_mhz = 50", "core_mhz = nan", ["defaults.core_mhz must be a number in 1..1000, not nan"]),
        ("core_mhz = 50", "core_mhz = inf", ["defaults.core_mhz must be a number in 1..1000, not inf"]),
        ("bus_bytes = 8", "bus_bytes = 8.0", ["memory.bus_bytes must be one of 4, 8, 16, 32, 64, not 8.0"]),
        ("bus_bytes = 8", '"a\\nb" = 8', ["memory.bus_bytes is missing: it must be one of 4, 8, 16, 32, 64",
                                          "unknown key memory.'a\\nb'"]),
        ('direction = "in"', 'direction = "up"', ["ports.clk.direction must be one of in, out, not 'up'"]),
    ],
)  # fmt: skip
def test_odd_values(old: str, new: str, what: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_board("mine", ECP5.replace(old, new))
    assert [problem.what for problem in caught.value.problems] == [f"board mine: {text}" for text in what]
