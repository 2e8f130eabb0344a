# SPDX-License-Identifier: Apache-2.0
"""Yosys' JSON netlist as a graph: cells, who drives a net, who reads it, and what the design calls it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.mapped import REGISTER
from benchmarks.timing.cells import Cell, Pin, outputs
from hlsgen.errors import UsageError

_IGNORED = ("$scopeinfo", "GND", "VCC")


@dataclass(frozen=True)
class Netlist:
    """A flat netlist. inputs: the nets that its ports drive; outputs: those that leave it."""

    cells: Mapping[str, Cell]
    names: Mapping[int, str]
    inputs: frozenset[int]
    outputs: tuple[int, ...]

    @cached_property
    def loads(self) -> Mapping[int, list[Pin]]:
        """Net to the pins that read it."""
        found: dict[int, list[Pin]] = defaultdict(list)
        for cell in self.cells.values():
            driven = outputs(cell)
            for pin in cell.pins:
                if pin not in driven:
                    for bit, net in enumerate(cell.pins[pin]):
                        if isinstance(net, int):
                            found[net].append(Pin(cell.name, pin, bit))
        return found

    @cached_property
    def drivers(self) -> Mapping[int, Pin]:
        """Net to the pin that drives it. Raises `UsageError` for a net with two."""
        found: dict[int, Pin] = {}
        for cell in self.cells.values():
            for pin in outputs(cell):
                for bit, net in enumerate(cell.pins.get(pin, ())):
                    if not isinstance(net, int):
                        continue
                    if net in found or net in self.inputs:
                        raise UsageError(f"{self.label(net)} must have one driver, not two")
                    found[net] = Pin(cell.name, pin, bit)
        return found

    def label(self, net: int) -> str:
        """The name that the design gave a net."""
        return self.names.get(net, f"net {net}")


def read_netlist(document: str | bytes, top: str) -> Netlist:
    """The netlist of module `top` that Yosys' `write_json` wrote. Raises `UsageError` if there is none."""
    try:
        module = json.loads(document)["modules"][top]
        cells = {
            name: Cell(
                name,
                found["type"],
                found.get("parameters", {}),
                {pin: tuple(nets) for pin, nets in found["connections"].items()},
            )
            for name, found in module["cells"].items()
            if found["type"] not in _IGNORED
        }
        ports = module["ports"].values()
        inputs = {net for port in ports if port["direction"] == "input" for net in port["bits"]}
        outputs = [net for port in ports if port["direction"] == "output" for net in port["bits"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"the netlist must be Yosys' JSON with a module {top}: {error!r}") from None
    return Netlist(
        cells,
        _names(module.get("netnames", {})),
        frozenset(net for net in inputs if isinstance(net, int)),
        tuple(net for net in outputs if isinstance(net, int)),
    )


def _names(netnames: Mapping[str, Any]) -> dict[int, str]:
    """Net to name: the register's own, or else that of the deepest module.

    A net of several modules has a name in each; after flattening only the attribute `REGISTER` tells in which
    of them the register lies.
    """
    best: dict[int, tuple[bool, int, int]] = {}
    names: dict[int, str] = {}
    for name, found in netnames.items():
        if found.get("hide_name"):
            continue
        rank = (REGISTER in found.get("attributes", {}), name.count("."), -len(name))
        bits = found["bits"]
        for index, net in enumerate(bits):
            if isinstance(net, int) and (net not in best or rank > best[net]):
                best[net], names[net] = rank, name if len(bits) == 1 else f"{name}[{index}]"
    return names
