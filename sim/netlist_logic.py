# SPDX-License-Identifier: Apache-2.0
"""Verilog of a netlist's logic: tables as expressions, flip-flops with the same controls as one register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hlsgen.sim.netlist_cells import Cell, CellLibrary, Controls

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


def registers(cells: Iterable[Cell], order: Mapping[int | str, int], family: CellLibrary) -> Iterator[str]:
    """Flip-flops as registers; `order` of their outputs puts bits of a word side by side."""
    groups: dict[Controls, list[Cell]] = defaultdict(list)
    flip_flops = [cell for cell in cells if cell.type in family.flip_flops]
    for cell in sorted(flip_flops, key=lambda cell: order.get(cell.pin("Q"), 0)):
        groups[family.controls(cell)].append(cell)
    parts = [
        (controls, group[start : start + REGISTER_BITS])
        for controls, group in groups.items()
        for start in range(0, len(group), REGISTER_BITS)
    ]
    for index, ((clock, enable, reset, value, initial), part) in enumerate(parts):
        data = ", ".join(net_name(cell.pin(family.flip_flops[cell.type])) for cell in reversed(part))
        change = f"r{index} <= {{{data}}};"
        if enable != ONE:
            change = f"if ({enable}) {change}"
        if reset != ZERO:
            change = f"if ({reset}) r{index} <= {{{len(part)}{{{value}}}}}; else {change}"
        yield f"reg [{len(part) - 1}:0] r{index} = {{{len(part)}{{{initial}}}}};"
        yield f"always @(posedge {clock}) {change}"
        for bit, cell in enumerate(part):
            yield f"assign {net_name(cell.pin('Q'))} = r{index}[{bit}];"
