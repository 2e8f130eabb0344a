# SPDX-License-Identifier: Apache-2.0
"""Tables and blocks of a whole accelerator, as Yosys maps it to UltraScale+."""

from __future__ import annotations

from functools import cache

from benchmarks.mapped import map_netlist
from benchmarks.timing.netlist import read_netlist
from benchmarks.timing.size import Size, size
from hlsgen.emit.rtl import TOP, verilog
from hlsgen.machine.format.parameters import MachineParameters


@cache
def mapped_size(parameters: MachineParameters) -> Size:
    """Cells of the netlist; of DeiT-Tiny's machine in ten minutes or more. Raises `ToolFailed`."""
    return size(read_netlist(map_netlist(verilog(parameters, "xilinx"), TOP), TOP), parameters.lanes)
