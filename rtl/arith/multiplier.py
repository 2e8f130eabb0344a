# SPDX-License-Identifier: Apache-2.0
"""Multipliers behind one interface: plain arithmetic, an ECP5 multiplier block, or logic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import C, Cat, ClockSignal, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.multipliers import BLOCKS, PLAIN, SOFT, TABLES, find_target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import MULTIPLIER, SHORT_MULTIPLIER, WIDE_MULTIPLIER
from hlsgen.rtl.parts.pipeline import copies, delay, register, total

STYLES = (PLAIN, BLOCKS, SOFT, TABLES)
PORT = 18
"""Width of an ECP5 multiplier port."""
LIMB = PORT - 1
"""Unsigned bits that a signed port holds."""
DIGITS = 3
"""Digits that one cycle adds up, where multiplication is by tables: two additions."""


class Multiplier(wiring.Component):
    """Signed product with registered operands and a registered result.

    Parameters
    ----------
    a_bits, b_bits
        Operand widths; for style "ecp5" at most 18 each.
    latency
        2 or 3 cycles.
    style
        "plain": the `*` operator. "ecp5": one MULT18X18D with its own registers, a third one between its
        partial products and their sum. "soft": rows of partial products in logic (latency 3 only). "tables":
        the magnitude of b in digits of two bits, in logic (latency 3 only).

    Members
    -------
    a, b : In(signed)
    p : Out(signed(a_bits + b_bits))

    Latency
    -------
    `latency` cycles from a, b to p.

    Throughput
    ----------
    One product a cycle.
    """

    a: Signal
    b: Signal
    p: Signal

    def __init__(
        self, a_bits: int, b_bits: int, *, latency: int = SHORT_MULTIPLIER, style: str = "plain"
    ) -> None:
        if style not in STYLES:
            raise ValueError(f"style must be one of {STYLES}, not {style!r}")
        short, long = SHORT_MULTIPLIER, MULTIPLIER
        if latency not in (short, long) or (style in (SOFT, TABLES) and latency != long):
            raise ValueError(
                f"latency must be {short} or {long}, for soft multipliers {long}, not {latency!r}"
            )
        if style == BLOCKS and max(a_bits, b_bits) > PORT:
            raise ValueError(f"operands must have at most {PORT} bits, not {a_bits!r} and {b_bits!r}")
        self.latency, self._style = latency, style
        super().__init__(
            {"a": In(signed(a_bits)), "b": In(signed(b_bits)), "p": Out(signed(a_bits + b_bits))}
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        {PLAIN: self._plain, BLOCKS: self._block, SOFT: self._soft, TABLES: self._tables}[self._style](m)
        return m

    def _plain(self, m: Module) -> None:
        a, b = register(m, self.a, name="a_q"), register(m, self.b, name="b_q")
        m.d.comb += self.p.eq(delay(m, a * b, self.latency - 1, name="p_q"))

    def _block(self, m: Module) -> None:
        """The operands lie on the upper port bits: no sign bit has to be repeated."""
        a_pad, b_pad = PORT - len(self.a), PORT - len(self.b)
        a, b = Cat(C(0, a_pad), self.a), Cat(C(0, b_pad), self.b)
        product = Signal(2 * PORT)
        ports: dict[str, Any] = {"i_SIGNEDA": C(1, 1), "i_SIGNEDB": C(1, 1)}
        ports |= {f"i_A{i}": a[i] for i in range(PORT)} | {f"i_B{i}": b[i] for i in range(PORT)}
        ports |= {f"o_P{i}": product[i] for i in range(2 * PORT)}
        # Constants are routed to a block's control ports, so the ones that no register uses stay open.
        ports |= {"i_CLK0": ClockSignal(), "i_CE0": C(1, 1), "i_RST0": C(0, 1)}
        ports |= {"i_SOURCEA": C(0, 1), "i_SOURCEB": C(0, 1)}
        registers = ["INPUTA", "INPUTB", "OUTPUT"] + ["PIPELINE"] * (self.latency - SHORT_MULTIPLIER)
        ports |= {f"p_REG_{name}_CLK": "CLK0" for name in registers}
        m.submodules.block = Instance("MULT18X18D", **ports)
        m.d.comb += self.p.eq(product[a_pad + b_pad :].as_signed())

    def _tables(self, m: Module) -> None:
        """A digit d of two bits adds d * a: that bit of 0, a, 2 * a or 3 * a and the sum's so far are six.

        So a digit takes a table for each bit of a, and no other logic. `a * b` is `(-a) * (-b)` where b is
        negative; -b has as many bits as b, unsigned.
        """
        negative, bits = self.b[-1], len(self.b)
        a = Mux(negative, -self.a, self.a).as_signed()
        # Of an operand that many lanes share, each lane has its digits: synthesis would make them one.
        (digits,) = copies(m, Mux(negative, -self.b, self.b)[:bits], 1, name="digits")
        triple, a = register(m, a + (a << 1), name="triple"), register(m, a, name="a_q")
        rows = [
            Mux(digits[i : i + 2][-1] & (i + 1 < bits), Mux(digits[i], triple, a << 1), Mux(digits[i], a, 0))
            for i in range(0, bits, 2)
        ]
        groups = []
        for first in range(0, len(rows), DIGITS):
            found: Value = rows[first].as_signed()
            for index, row in enumerate(rows[first + 1 : first + DIGITS], start=1):
                # Synthesis would join the additions, and put rows into tables of their own.
                kept = Signal(found.shape(), name=f"sum_{first}_{index}", attrs={"keep": "true"})
                m.d.comb += kept.eq(found)
                found = kept + (row.as_signed() << (2 * index))
            groups.append(register(m, found, name=f"group_{first}") << (2 * first))
        m.d.comb += self.p.eq(register(m, total(groups)[: len(self.p)].as_signed(), name="p_q"))

    def _soft(self, m: Module) -> None:
        """Rows of partial products, four to a group; then the groups."""
        a, b = register(m, self.a, name="a_q"), register(m, self.b, name="b_q")
        bits, groups = len(self.b), []
        for first in range(0, bits, 4):
            rows = [self._row(a, b, i) << (i - first) for i in range(first, min(first + 4, bits))]
            if first + 4 >= bits:  # the sign bit's row counts negative
                rows[-1] = -rows[-1]
            groups.append(register(m, total(rows), name=f"group_{first}") << first)
        m.d.comb += self.p.eq(register(m, total(groups), name="p_q"))

    @staticmethod
    def _row(a: Value, b: Value, index: int) -> Value:
        return Mux(b[index], a, C(0, a.shape()))


class WideMultiplier(wiring.Component):
    """Signed `a_bits` times unsigned 16 bits.

    Parameters
    ----------
    a_bits
        At most 34.
    style
        As for `Multiplier`; "ecp5" takes two blocks, one where `a` fits a port.

    Members
    -------
    a : In(signed(a_bits))
    b : In(16)
    p : Out(signed(a_bits + 16))

    Latency
    -------
    3 cycles.

    Throughput
    ----------
    One product a cycle.
    """

    latency = WIDE_MULTIPLIER
    a: Signal
    b: Signal
    p: Signal

    def __init__(self, a_bits: int = 32, *, style: str = "plain") -> None:
        if style not in STYLES:
            raise ValueError(f"style must be one of {STYLES}, not {style!r}")
        self._a_bits, self._style = a_bits, style
        super().__init__({"a": In(signed(a_bits)), "b": In(16), "p": Out(signed(a_bits + 16))})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        b = Cat(self.b, C(0, 1)).as_signed()
        if self._style != BLOCKS or self._a_bits <= PORT:
            m.submodules.whole = whole = Multiplier(self._a_bits, 17, latency=self.latency, style=self._style)
            m.d.comb += [whole.a.eq(self.a), whole.b.eq(b), self.p.eq(whole.p)]
            return m
        m.submodules.low = low = Multiplier(PORT, 17, style=BLOCKS)
        m.submodules.high = high = Multiplier(self._a_bits - LIMB, 17, style=BLOCKS)
        m.d.comb += [low.a.eq(self.a[:LIMB]), high.a.eq(self.a[LIMB:].as_signed()), low.b.eq(b), high.b.eq(b)]
        m.d.comb += self.p.eq(register(m, low.p + (high.p << LIMB), name="p_q"))
        return m


@dataclass(frozen=True, kw_only=True)
class MultiplierPlan:
    """How each place multiplies: `Multiplier` styles, for the array `Array` styles.

    combine: a row's mantissa times its gain. centre: a layer norm's elements times the width. square: their
    squares. interpolate: between two entries of the mantissas' table. gate: an expert's results times their
    token's gate.
    """

    array: str
    requantize: str
    normalise: str
    row: str
    combine: str
    centre: str
    square: str
    interpolate: str
    gate: str


def plan(parameters: MachineParameters, target: str) -> MultiplierPlan:
    """Multiplier blocks for the array first, then for the lanes that gain most; logic for the rest.

    Where the target names no blocks, every place multiplies by plain arithmetic. Raises `ValueError` for an
    unknown target.
    """
    p, chosen = parameters, find_target(target)
    styles = dict.fromkeys(MultiplierPlan.__dataclass_fields__, PLAIN)
    styles["array"] = chosen.array_style(p.rows, p.columns)
    styles |= dict.fromkeys(chosen.tables, TABLES)
    if chosen.blocks is None:
        return MultiplierPlan(**styles)
    columns = p.columns * p.row_width
    left = chosen.blocks - chosen.array_blocks(p.rows, p.columns, p.depth)
    for name, blocks in (
        ("requantize", 2 * columns),
        ("normalise", columns),
        ("row", p.row_width),
        ("combine", p.row_width),
        ("centre", columns),
        ("square", columns),
        ("interpolate", p.row_width),
    ):
        styles[name] = chosen.single if blocks <= left else SOFT
        left -= blocks if blocks <= left else 0
    return MultiplierPlan(**styles)
