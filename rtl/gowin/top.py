# SPDX-License-Identifier: Apache-2.0
"""The Tang Nano 20K: a board top with the GW2A's PLL; multipliers and memories are inferred."""

from __future__ import annotations

from hlsgen.rtl.board.pll import PllBoardTop
from hlsgen.rtl.board.top import Lights
from hlsgen.rtl.gowin.pll import PLL


class GowinTop(PllBoardTop):
    """A board top whose clock enters at `clk27`, with six lights that a 0 lights."""

    KIND, CLOCK_PIN = PLL, "clk27"
    LIGHTS = Lights(port="led_n", count=6, low=True)
