# SPDX-License-Identifier: Apache-2.0
"""Sums in ECP5 carry cells whose tables also hold the gates in front of the adder.

A CCU2C adds two bits of a sum. Each of its tables makes the propagate bit p of four inputs, and its lowest
four entries, which see A and B alone, the bit that is carried where nothing propagates. Synthesis puts the
gates of `(a & on) + b` into look-up tables of their own; here they cost none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import C, Cat, Instance, Module, Signal, Value

Inputs = tuple[Value, Value, Value, Value]
"""A, B, C, D of a bit."""
BOTH_GATED = 0x7888
"""p = (A & B) ^ (C & D), else A & B."""
FIRST_GATED = 0x6C6C
"""p = (A & C) ^ B, else B."""


def gated_sum(m: Module, a: Value, a_on: Value, b: Value, b_on: Value, *, name: str) -> Value:
    """`(a if a_on else 0) + (b if b_on else 0)` modulo 2**bits of `a` and `b`."""
    return _chain(m, BOTH_GATED, [(x, a_on, y, b_on) for x, y in zip(a, b, strict=True)], name)


def kept_sum(m: Module, kept: Value, keep: Value, found: Value, *, name: str) -> Value:
    """`(kept if keep else 0) + found` modulo 2**bits of both."""
    return _chain(m, FIRST_GATED, [(x, y, keep, C(1, 1)) for x, y in zip(kept, found, strict=True)], name)


def _chain(m: Module, table: int, bits: Sequence[Inputs], name: str) -> Value:
    """One cell for two bits; a missing last one adds zeros."""
    carry: Value = C(0, 1)
    found: list[Value] = []
    unused: Inputs = (C(0, 1), C(0, 1), C(0, 1), C(0, 1))
    for first in range(0, len(bits), 2):
        halves = [bits[first], bits[first + 1] if first + 1 < len(bits) else unused]
        sums, out = Signal(2, name=f"{name}_sum_{first}"), Signal(name=f"{name}_carry_{first}")
        ports: dict[str, Any] = {"i_CIN": carry, "o_S0": sums[0], "o_S1": sums[1], "o_COUT": out}
        for half, inputs in enumerate(halves):
            ports |= {f"i_{port}{half}": value for port, value in zip("ABCD", inputs, strict=True)}
            ports |= {f"p_INIT{half}": C(table, 16), f"p_INJECT1_{half}": "NO"}
        m.submodules[f"{name}_{first}"] = Instance("CCU2C", **ports)
        found += [sums[0], sums[1]]
        carry = out
    return Cat(found[: len(bits)])
