# SPDX-License-Identifier: Apache-2.0
"""Small helpers shared by all stages: widths, delays and registered selections."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from amaranth import Module, Mux, Signal, Value

from hlsgen.machine.time.latency import ADDERS
from hlsgen.rtl.parts.ports import ports


def address_bits(depth: int) -> int:
    """Bits that address `depth` words, at least one."""
    return max(1, (depth - 1).bit_length())


def count_bits(limit: int) -> int:
    """Bits that hold 0..`limit`."""
    return max(1, limit.bit_length())


def register(m: Module, value: Any, *, name: str) -> Any:
    """`value` one cycle later, without a reset: `Control` holds the core's longer than any pipeline is."""
    stage = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += stage.eq(value)
    return stage


def delay(m: Module, value: Any, cycles: int, *, name: str) -> Any:
    """`value` some cycles later, through that many registers."""
    for index in range(cycles):
        value = register(m, value, name=f"{name}_{index + 1}")
    return value


def copies(m: Module, value: Value, count: int, *, name: str) -> list[Signal]:
    """`value` one cycle later in registers of equal contents, which synthesis must not make one again."""
    found = []
    for index in range(count):
        copy = Signal(value.shape(), name=f"{name}_{index}", reset_less=True, attrs={"keep": "true"})
        m.d.sync += copy.eq(value)
        found.append(copy)
    return found


def without_reset(interface: Any, *names: str) -> None:
    """Give members that hold data no reset: it would cost a route to every flip-flop."""
    members = ports(interface)
    for name in names:
        old: Any = Value.cast(members[name])
        setattr(interface, name, Signal(members[name].shape(), name=old.name, reset_less=True))


def total(values: Iterable[Value]) -> Value:
    """Sum as a balanced tree."""
    level = list(values)
    while len(level) > 1:
        level = [a if b is None else a + b for a, b in zip_longest(level[::2], level[1::2])]
    return level[0]


def tree(m: Module, values: Iterable[Value], *, name: str, levels: int = ADDERS) -> tuple[Value, int]:
    """Sum as a tree with a register after every `levels` adders; returns the sum and its latency."""
    values, stages = list(values), 0
    while len(values) > 1:
        width = 1 << levels
        groups = [values[i : i + width] for i in range(0, len(values), width)]
        values = [
            register(m, total(group), name=f"{name}_{stages}_{index}") for index, group in enumerate(groups)
        ]
        stages += 1
    return values[0], stages


def maximum(a: Value, b: Value) -> Value:
    """The larger of two values of one shape."""
    return Mux(a > b, a, b)


def moved(count: Value, up: Value, down: Value, size: Value | int = 1) -> Value:
    """`count`, one higher where `up`, `size` lower where `down`: all sums are ready when those two come."""
    less = Mux(up, count + 1 - size, count - size)
    return Mux(down, less, Mux(up, count + 1, count))[: len(count)]


def some_left(count: Value, more: Value, less: Value) -> Value:
    """Whether `count` + `more` - `less` is not 0, without a sum; none is taken where there is none."""
    return (count > 1) | more | ((count == 1) & ~less)
