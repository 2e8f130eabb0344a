# SPDX-License-Identifier: Apache-2.0
"""The pins of a board top: a site of the board for every bit of its ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.boards import Board
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One bit of a port at its site."""

    port: str
    site: str
    attributes: tuple[tuple[str, str], ...]


def place_ports(board: Board, ports: Mapping[str, tuple[str, int]]) -> list[Pin]:
    """A site for every bit of every port; `UsageError` names all ports that the board doesn't have."""
    pins, problems = [], []
    for name, (direction, width) in ports.items():
        port = board.ports.get(name)
        if port is None:
            known = ", ".join(board.ports)
            problems.append(Problem(f"port {name} must be one of the ports of {board.name}: {known}"))
        elif port.direction != direction or width > len(port.pins):
            problems.append(
                Problem(
                    f"port {name} must be an {port.direction}put of at most {len(port.pins)} bits "
                    f"on {board.name}, not an {direction}put of {width}"
                )
            )
        else:
            attributes = tuple(port.attributes.items())
            for bit in range(width):
                label = name if width == 1 else f"{name}[{bit}]"
                pins.append(Pin(port=label, site=port.pins[bit], attributes=attributes))
    if problems:
        raise UsageError(problems, code=Code.PROJECT)
    return pins
