# SPDX-License-Identifier: Apache-2.0
"""Verilog of a netlist's logic: tables as expressions, flip-flops with the same controls as one register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hlsgen.sim.netlist_cells import Cell

ZERO, ONE = "1'b0", "1'b1"
REGISTER_BITS = 64
"""Flip-flops of one register: a machine word."""


def net_name(net: int | str) -> str:
    """The net's name, or the constant that it is."""
    return f"n{net}" if isinstance(net, int) else ONE if net == "1" else ZERO


def expression(table: int, inputs: Sequence[str]) -> str:
    """What a table gives: bit i of it is the value where the inputs, the first the lowest, count i."""
    if not inputs or table in (0, (1 << (1 << len(inputs))) - 1):
        return ONE if table else ZERO
    *others, last = inputs
    rows = 1 << len(others)
    ones = (1 << rows) - 1
    low, high = table & ones, table >> rows
    if last == ZERO or low == high:
        return expression(low, others)
    if last == ONE:
        return expression(high, others)
    if high == low ^ ones:
        rest = expression(low, others)
        return {ZERO: last, ONE: f"~{last}"}.get(rest, f"({last} ^ {rest})")
    if low == 0:
        return f"({last} & {expression(high, others)})"
    if high == 0:
        return f"(~{last} & {expression(low, others)})"
    if high == ones:
        return f"({last} | {expression(low, others)})"
    if low == ones:
        return f"(~{last} | {expression(high, others)})"
    return f"({last} ? {expression(high, others)} : {expression(low, others)})"


def registers(cells: Iterable[Cell], order: Mapping[int | str, int]) -> Iterator[str]:
    """Flip-flops as registers; `order` of their outputs puts bits of a word side by side."""
    groups: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: order.get(cell.pin("Q"), 0)):
        groups[_controls(cell)].append(cell)
    parts = [
        (controls, group[start : start + REGISTER_BITS])
        for controls, group in groups.items()
        for start in range(0, len(group), REGISTER_BITS)
    ]
    for index, ((clock, enable, reset, value), part) in enumerate(parts):
        data = ", ".join(net_name(cell.pin("DI")) for cell in reversed(part))
        initial = f"{{{len(part)}{{{value}}}}}"
        change = f"r{index} <= {{{data}}};"
        if enable != ONE:
            change = f"if ({enable}) {change}"
        if reset != ZERO:
            change = f"if ({reset}) r{index} <= {initial}; else {change}"
        yield f"reg [{len(part) - 1}:0] r{index} = {initial};"
        yield f"always @(posedge {clock}) {change}"
        for bit, cell in enumerate(part):
            yield f"assign {net_name(cell.pin('Q'))} = r{index}[{bit}];"


def _controls(cell: Cell) -> tuple[str, ...]:
    """Clock, enable, reset, and the value that it has at the start and after a reset."""
    enable, reset = net_name(cell.pin("CE")), net_name(cell.pin("LSR"))
    mode = cell.parameters.get("CEMUX", "1")
    enable = ONE if mode == "1" else f"~{enable}" if mode == "INV" else enable
    if cell.parameters.get("LSRMUX") == "INV":
        reset = f"~{reset}"
    value = ONE if cell.parameters.get("REGSET") == "SET" else ZERO
    return net_name(cell.pin("CLK")), enable, reset, value
