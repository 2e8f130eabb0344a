# SPDX-License-Identifier: Apache-2.0
"""A board, or a bare part: what `hlsgen.boards.read` makes of a TOML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from hlsgen.boards.families import Family
from hlsgen.errors import UsageError
from hlsgen.errors.codes import Code

CORE_MHZ = (1.0, 1000.0)
"""Clock of an accelerator, lowest and highest."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the part has; RAM blocks are those of its family."""

    lut: int
    ff: int
    dsp: int
    ram_blocks: int


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the board top: its pins from bit 0 upwards, and their electrical attributes."""

    pins: tuple[str, ...]
    direction: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, or a bare part (no ports)."""

    name: str
    title: str
    family: Family
    part: str
    resources: Resources
    image: str
    """`on_chip`: the Image is a ROM in block RAM; `external`: in memory behind the AXI master."""
    bus_bytes: int
    array: tuple[int, int, int]
    """Default rows, columns, depth."""
    core_mhz: float
    usable_dsp: float
    """Share of the DSP blocks that a design should use at most."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the family's tools are told of device and board: the family's `keys`, absent ones empty."""
    clock_port: str = ""
    clock_mhz: float = 0.0
    ports: Mapping[str, Port] = field(default_factory=dict)
    block_columns: tuple[int, ...] = ()
    """Where the part has blocks of multipliers and RAM: X of every group; empty if it isn't known."""
    multiplier_rows: tuple[int, ...] = ()
    """Y of its rows of multiplier blocks, the ones to fill first before others."""
    ram_rows: tuple[int, ...] = ()
    """The same for RAM blocks."""

    def with_clock(self, mhz: float | None) -> Board:
        """The board with another clock for the accelerator; None leaves it. Raises `UsageError`."""
        low, high = CORE_MHZ
        if mhz is not None and not low <= mhz <= high:
            raise UsageError(f"clock must be in {low:g}..{high:g} MHz, not {mhz:g}", code=Code.BOARD)
        return self if mhz is None else dataclasses.replace(self, core_mhz=mhz)

    @property
    def has_pins(self) -> bool:
        """Whether a bitstream project can be made: the family needs no pins, or the clock has one."""
        return not self.family.needs_pins or self.clock_port in self.ports
