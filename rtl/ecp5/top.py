# SPDX-License-Identifier: Apache-2.0
"""The ULX3S: a board top with the ECP5's PLL and multiplier blocks."""

from __future__ import annotations

from hlsgen.machine.format.program import Program
from hlsgen.rtl.arith.multiplier import plan
from hlsgen.rtl.array.array import block_sums
from hlsgen.rtl.board.top import BoardTop, SameClock, Serial
from hlsgen.rtl.ecp5.pll import PllClock, find_pll

ARRAY, WEIGHT_RING = "top.core.array", "top.core.weight_ring.memory"
"""Paths of the multiplier array and of the memory that its weights come from."""
CLOCK_PIN = "clk25"


class Ecp5Top(BoardTop):
    """A board top whose clock enters at `clk25` and is made by a PLL.

    Parameters
    ----------
    program, image, serial, target
        See `BoardTop`.
    core_mhz
        The core's clock; the PLL makes it, or the nearest frequency below.
    clock_mhz
        The board's clock.
    pll
        Without it the board's clock is the core's, whatever `core_mhz` says: for simulation.
    """

    def __init__(
        self,
        program: Program,
        image: bytes,
        *,
        core_mhz: float = 80.0,
        clock_mhz: float = 25.0,
        serial: Serial | None = None,
        target: str = "ecp5",
        pll: bool = True,
    ) -> None:
        clock = PllClock(find_pll(clock_mhz, core_mhz)) if pll else SameClock(clock_mhz)
        super().__init__(
            program, image, clock=clock, clock_pin=CLOCK_PIN, serial=serial or Serial(), target=target
        )

    @property
    def sums(self) -> list[list[str]]:
        """Multiplier blocks of the array, each `PATH/CELL`: lists of those whose products are added."""
        sums = block_sums(self._machine, plan(self._machine, self._target).array)
        return [[f"{ARRAY}.{block}" for block in blocks] for blocks in sums]
