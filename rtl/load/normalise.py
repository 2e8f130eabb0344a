# SPDX-License-Identifier: Apache-2.0
"""The lanes of layer norm and their elements' own shifts; the lanes' shifter serves pooling as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.norm_shifts import PART_ELEMENTS, PARTS, WORD_ELEMENTS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import MEMORY, MULTIPLIER, NORMALISE, SHIFTED
from hlsgen.numerics import CENTRED_BITS, NORM_SHIFT_BITS, ROW_SHIFT
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.arith.numerics import (
    doubled,
    round_shift_constant,
    saturate_bits,
    shift_coarse,
    shift_fine,
    shift_round,
)
from hlsgen.rtl.format.widths import shift_entries
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, WordMemory
from hlsgen.rtl.parts.pipeline import address_bits, delay, register, without_reset
from hlsgen.rtl.parts.ports import Bundle

LEFT_BITS = ROW_SHIFT - 1
"""Furthest shift to the left."""
VALUE_BITS = 32
AMOUNT_BITS = 6
"""Amounts count from LEFT_BITS to the left: 0..63."""


def shift_amount(shift: Value) -> Value:
    """A signed shift (right positive) as the lanes' amount; beyond the value's width all shifts are alike."""
    amount = shift + LEFT_BITS
    return Mux(amount > 63, 63, amount)[:AMOUNT_BITS]


# One word; the row's multiplier is wanted only when the word has been shifted:
#
#   cycle           0     1     2     3      6     7
#   value, amount   word
#   coarse                word                            shifted by a multiple of 8
#   fine                        word
#   shifted                           word                rounded, clamped
#   multiplier                        row's
#   product.p                                word
#   result                                         word
class NormaliseLanes(wiring.Component):
    """`numerics.normalise` for a word, and its first half for pooling.

    Parameters
    ----------
    columns
        Lanes.
    style
        `Multiplier` style.
    own_amounts
        Each lane has an amount of its own.

    Members
    -------
    value : In(C x signed 32)
    amount : In(6), or In(C x 6)
        Right shift plus LEFT_BITS.
    multiplier : In(16)
        Given `multiply_at` cycles after value.
    shifted : Out(C x signed 18)
        The shifted value, clamped; `shifted_latency` cycles after value.
    result : Out(C x signed 8)
        `latency` cycles after value.

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One word a cycle.
    """

    multiply_at = SHIFTED
    shifted_latency = SHIFTED
    latency = NORMALISE
    value: Any
    amount: Any
    multiplier: Signal
    shifted: Any
    result: Any

    def __init__(self, columns: int, *, style: str = "plain", own_amounts: bool = False) -> None:
        self._columns, self._style, self._own = columns, style, own_amounts
        amounts = data.ArrayLayout(AMOUNT_BITS, columns) if own_amounts else AMOUNT_BITS
        super().__init__(
            {
                "value": In(data.ArrayLayout(signed(VALUE_BITS), columns)),
                "amount": In(amounts),
                "multiplier": In(16),
                "shifted": Out(data.ArrayLayout(signed(CENTRED_BITS), columns)),
                "result": Out(data.ArrayLayout(signed(8), columns)),
            }
        )
        without_reset(self, "amount", "multiplier", "result")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        shared = None if self._own else register(m, self.amount, name="fine_amount")
        factor = Cat(self.multiplier, C(0, 1)).as_signed()
        for lane in range(self._columns):
            value = doubled(Cat(C(0, LEFT_BITS), self.value[lane]).as_signed())
            amount = self.amount[lane] if shared is None else self.amount
            fine_amount = register(m, amount, name=f"fine_amount_{lane}") if shared is None else shared
            coarse = register(m, shift_coarse(value, amount, CENTRED_BITS), name=f"coarse_{lane}")
            fine = register(m, shift_fine(coarse, fine_amount), name=f"fine_{lane}")
            rounded = register(m, shift_round(fine, CENTRED_BITS), name=f"rounded_{lane}")
            clamped = self._clamp(rounded)
            product = Multiplier(CENTRED_BITS, 17, latency=MULTIPLIER, style=self._style)
            m.submodules[f"product_{lane}"] = product
            m.d.comb += [self.shifted[lane].eq(clamped), product.a.eq(clamped), product.b.eq(factor)]
            m.d.sync += self.result[lane].eq(saturate_bits(round_shift_constant(product.p, ROW_SHIFT), 8))
        return m

    @staticmethod
    def _clamp(value: Value) -> Value:
        """Symmetric clamp to 18 bits."""
        lowest = -(1 << (CENTRED_BITS - 1))
        near = saturate_bits(value, CENTRED_BITS)
        return Mux(near == lowest, lowest + 1, near)


class ShiftsPorts(wiring.PureInterface):
    """An interface of `Shifts`."""

    begins: Signal
    asks: Signal
    shift: Any


class Shifts(Bundle):
    """A layer norm (`Out`) and the memory of its elements' shifts.

    begins : Out(1)
        A row's first part is asked for in the next cycle.
    asks : Out(1)
        A part of a row.
    shift : In(elements of a part x 3)
        `NormShifts.latency` cycles later.
    """

    interface: ClassVar = ShiftsPorts

    def __init__(self, p: MachineParameters) -> None:
        shift = data.ArrayLayout(NORM_SHIFT_BITS, p.norm_lanes)
        super().__init__({"begins": Out(1), "asks": Out(1), "shift": In(shift)})


def shift_ports(p: MachineParameters) -> dict[str, wiring.Member]:
    """What a layer norm has for its shifts; nothing in a machine without them."""
    return {"shifts": Out(Shifts(p))} if shift_entries(p) else {}


def shift_write_port(p: MachineParameters) -> dict[str, wiring.Member]:
    """The port by which norm shifts come; none in a machine without them."""
    return {"shifts": In(TableWrite(shift_entries(p)))} if shift_entries(p) else {}


def connect_shifts(m: Module, p: MachineParameters, stage: Any, config: Any, norms: Sequence[Any]) -> None:
    """One memory for the layer norms of a group, which run in step; nothing in a machine without it."""
    if not shift_entries(p):
        return
    m.submodules.norm_shifts = memory = NormShifts(p)
    wiring.connect(m, wiring.flipped(stage.shifts), memory.write)
    m.d.comb += [
        memory.base.eq(config.norm_shift_base),
        memory.o.begins.eq(norms[0].shifts.begins),
        memory.o.asks.eq(norms[0].shifts.asks),
    ]
    m.d.comb += [norm.shifts.shift.eq(memory.o.shift) for norm in norms]


# Two rows of two parts, without a gap:
#
#   cycle      0   1    2    3    4    5
#   begins     1        1
#   asks           p 0  p 1  p 0  p 1
#   place          p 0  p 1  p 0  p 1
#   shift                         p 0  p 1      a memory, then the choice of a part
class NormShifts(wiring.Component):
    """Norm shifts, part by part of a row.

    A part is what LOAD normalises of a row in a cycle. Where it has less than 16 elements a word of the
    memory has several parts; where it has more, it has a word of each of several banks.

    Parameters
    ----------
    parameters
        The machine's shape; `norm_shift_words` is not 0.

    Members
    -------
    write : In(TableWrite)
        16 elements.
    base : In(11)
        The command's `norm_shift_base`; holds while rows are under way. 0: all shifts are 0.
    o : In(Shifts)

    Latency
    -------
    `latency` cycles from `asks` to the part's shifts.

    Throughput
    ----------
    A part a cycle.
    """

    latency = MEMORY + 1
    write: TableWritePorts
    base: Signal
    o: ShiftsPorts

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = parameters
        super().__init__(
            {
                "write": In(TableWrite(shift_entries(parameters))),
                "base": In(FIELD_BITS["norm_shift_base"]),
                "o": In(Shifts(parameters)),
            }
        )
        without_reset(self.o, "shift")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        lanes = p.norm_lanes
        place = Signal(address_bits(p.norm_shift_words * WORD_ELEMENTS // lanes), reset_less=True)
        part_bits = (WORD_ELEMENTS // lanes).bit_length() - 1
        with m.If(self.o.begins):
            m.d.sync += place.eq((self.base - 1) << part_bits)
        with m.Elif(self.o.asks):
            m.d.sync += place.eq(place + 1)
        there = register(m, self.base != 0, name="there")
        found = self._read(m, place)
        for lane in range(lanes):
            shift = found.word_select(lane, NORM_SHIFT_BITS)
            m.d.sync += self.o.shift[lane].eq(Mux(there, shift, 0))
        return m

    def _read(self, m: Module, place: Signal) -> Value:
        """The part at `place`, two cycles later."""
        p, lanes = self._parameters, self._parameters.norm_lanes
        banks = max(1, lanes // PART_ELEMENTS)
        bank_bits, inner_bits = banks.bit_length() - 1, max(1, PART_ELEMENTS // lanes).bit_length() - 1
        bits = len(self.write.data) // PART_ELEMENTS
        words = Cat(self.write.data.word_select(n, bits)[:NORM_SHIFT_BITS] for n in range(PART_ELEMENTS))
        found = []
        for bank in range(banks):
            memory = WordMemory(len(words), max(2, PARTS * p.norm_shift_words // banks))
            m.submodules[f"bank_{bank}"] = memory
            here = self.write.address[:bank_bits] == bank if bank_bits else 1
            m.d.comb += [
                memory.write.eq(self.write.valid & here),
                memory.write_address.eq(self.write.address[bank_bits:]),
                memory.write_data.eq(words),
                memory.read_address[0].eq(place[inner_bits:]),
            ]
            found.append(memory.read_data[0])
        inner = delay(m, place[:inner_bits], MEMORY, name="inner")
        return Cat(found).word_select(inner, NORM_SHIFT_BITS * lanes) if inner_bits else Cat(found)
