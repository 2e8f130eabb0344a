# SPDX-License-Identifier: Apache-2.0
"""Flip-flops that Vivado takes into a DSP48E2 or a block RAM: Yosys leaves them outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.timing.cells import BLOCK_RAMS, DSP, DSP_OPERANDS, FLIP_FLOPS, Cell, outputs
from benchmarks.timing.netlist import Netlist


@dataclass(frozen=True)
class Absorbed:
    """What has registers inside of its block.

    operands: (DSP48E2, pin) whose nets come from flip-flops only. results: DSP48E2 and block RAMs whose
    outputs go to flip-flops only.
    """

    operands: frozenset[tuple[str, str]]
    results: frozenset[str]


def absorbed(netlist: Netlist) -> Absorbed:
    """The blocks whose registers can lie inside, by what stands around them."""
    blocks = [cell for cell in netlist.cells.values() if cell.type == DSP or cell.type in BLOCK_RAMS]
    return Absorbed(
        frozenset(
            (cell.name, pin)
            for cell in blocks
            if cell.type == DSP
            for pin in DSP_OPERANDS
            if _from_flip_flops(netlist, cell.nets(pin))
        ),
        frozenset(cell.name for cell in blocks if _to_flip_flops(netlist, cell)),
    )


def _from_flip_flops(netlist: Netlist, nets: list[int]) -> bool:
    drivers = [netlist.drivers.get(net) for net in nets]
    return bool(drivers) and all(
        driver is not None and netlist.cells[driver.cell].type in FLIP_FLOPS for driver in drivers
    )


def _to_flip_flops(netlist: Netlist, cell: Cell) -> bool:
    loads = [load for net in result_nets(cell) for load in netlist.loads.get(net, ())]
    return (
        bool(loads)
        and all(netlist.cells[load.cell].type in FLIP_FLOPS and load.name == "D" for load in loads)
        and not set(result_nets(cell)) & set(netlist.outputs)
    )


def result_nets(cell: Cell) -> Iterator[int]:
    """Nets that a block drives."""
    for pin in outputs(cell):
        yield from cell.nets(pin)
