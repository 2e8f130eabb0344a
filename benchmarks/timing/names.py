# SPDX-License-Identifier: Apache-2.0
"""Which module and which register a cell of a flat netlist belongs to."""

from __future__ import annotations

import re
from typing import NamedTuple

from benchmarks.timing.cells import FLIP_FLOPS, SHIFTS
from benchmarks.timing.netlist import Netlist

TOP = "(top)"
_COUNT = re.compile(r"_?\d+")
_BIT = re.compile(r"\[\d+\]$")


class Place(NamedTuple):
    """A register, memory or multiplier; copies of a module that only a number tells apart are one."""

    module: str
    name: str


def place(netlist: Netlist, cell: str) -> Place:
    """Where a register, a memory or a multiplier lies: by the name of its output, or by its own."""
    found = netlist.cells[cell]
    if found.type in FLIP_FLOPS or found.type in SHIFTS:
        nets = found.nets("Q")
        return split(netlist.label(nets[0])) if nets else Place(TOP, found.type)
    return split(cell, found.type)


def split(path: str, fallback: str = "?") -> Place:
    """A dotted path as module and name, without bits and what Yosys appends to a memory's name.

    `fallback` is the name of a cell that Yosys named.
    """
    if path.startswith("$flatten"):
        module, name = path.removeprefix("$flatten").replace("\\", "").partition(".$")[0], fallback
    else:
        parts = _BIT.sub("", path.replace("\\", "")).split(".")
        while len(parts) > 1 and parts[-1].isdigit():
            parts.pop()
        name = _COUNT.sub("#", parts.pop())
        module = ".".join(parts)
    return Place(_COUNT.sub("#", module) or TOP, name)
