# SPDX-License-Identifier: Apache-2.0
"""The Tang Nano 20K: a board top with the GW2A's PLL; multipliers and memories are inferred."""

from __future__ import annotations

from hlsgen.machine.format.program import Program
from hlsgen.rtl.board.top import BoardTop, Lights, SameClock, Serial
from hlsgen.rtl.gowin.pll import PllClock, find_pll

CLOCK_PIN = "clk27"
LIGHTS = Lights(port="led_n", count=6, low=True)


class GowinTop(BoardTop):
    """A board top whose clock enters at `clk27` and is made by a PLL, with six lights that a 0 lights.

    Parameters
    ----------
    program, image, serial
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
        core_mhz: float,
        clock_mhz: float = 27.0,
        serial: Serial | None = None,
        pll: bool = True,
    ) -> None:
        clock = PllClock(find_pll(clock_mhz, core_mhz)) if pll else SameClock(clock_mhz)
        super().__init__(
            program, image, clock=clock, clock_pin=CLOCK_PIN, serial=serial or Serial(), lights=LIGHTS
        )
