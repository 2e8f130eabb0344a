# SPDX-License-Identifier: Apache-2.0
"""The ULX3S: a board top with the ECP5's PLL and multiplier blocks."""

from __future__ import annotations

from hlsgen.rtl.arith.multiplier import plan
from hlsgen.rtl.array.array import block_sums
from hlsgen.rtl.board.pll import PllBoardTop
from hlsgen.rtl.ecp5.pll import PLL

ARRAY, WEIGHT_RING = "top.core.array", "top.core.weight_ring.memory"
"""Paths of the multiplier array and of the memory that its weights come from."""


class Ecp5Top(PllBoardTop):
    """A board top whose clock enters at `clk25`."""

    KIND, CLOCK_PIN, TARGET = PLL, "clk25", "ecp5"

    @property
    def sums(self) -> list[list[str]]:
        """Multiplier blocks of the array, each `PATH/CELL`: lists of those whose products are added."""
        sums = block_sums(self._machine, plan(self._machine, self._target).array)
        return [[f"{ARRAY}.{block}" for block in blocks] for blocks in sums]
