# SPDX-License-Identifier: Apache-2.0
"""Images through a board's netlist: what the command takes; slow tests of each family run it whole."""

from __future__ import annotations

import pytest

from benchmarks import board_netlist
from hlsgen.errors import UsageError


def test_the_command_runs_every_held_out_image() -> None:
    options = board_netlist.arguments().parse_args([])
    assert (options.model, options.board, options.array, options.images) == (
        "digits",
        "ulx3s-85f",
        None,
        None,
    )


def test_boards_whose_netlists_nothing_simulates_are_refused() -> None:
    with pytest.raises(UsageError, match="whose netlists are simulated, not Zynq UltraScale"):
        board_netlist.run("digits", "zcu102")
