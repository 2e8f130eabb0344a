# SPDX-License-Identifier: Apache-2.0
"""DRAIN mode attention: row maxima of the scores, scales of the context rows."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import CONTEXT_SCALE, row_maxima
from hlsgen.rtl.format.ports import ScaleWrite, ScaleWritePorts
from hlsgen.rtl.format.widths import slot_bits, tile_groups
from hlsgen.rtl.parts.memories import ram, words_of
from hlsgen.rtl.parts.pipeline import address_bits, delay, maximum, register, without_reset


# A row of four columns in two blocks of scores:
#
#   cycle             0        1        2        3        4        5
#   logits            block 0  block 1                                    the first with `restart`
#   masked                     block 0  block 1
#   largest of two                      block 0  block 1
#   largest of four                              block 0  block 1
#   maxima                                                block 0  both
class RowMaxima(wiring.Component):
    """The running maximum of one row of every group of all score tiles, over the columns that are keys.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    valid : In(1)
        A row of logits.
    logits : In(C x signed logit)
    mask : In(C)
        Columns that are keys; at least one.
    restart : In(1)
        The row's first block.
    slot, row : In
    maxima : Out(S * groups x signed logit), of S score tiles

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One row a cycle.
    """

    valid: Signal
    logits: Any
    mask: Signal
    restart: Signal
    slot: Signal
    row: Signal
    maxima: Any

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        self.latency = row_maxima(p)
        super().__init__(
            {
                "valid": In(1),
                "logits": In(words_of(p.logit_bits, p.columns)),
                "mask": In(p.columns),
                "restart": In(1),
                "slot": In(slot_bits(p)),
                "row": In(address_bits(tile_groups(p))),
                "maxima": Out(data.ArrayLayout(signed(p.logit_bits), p.score_slots * tile_groups(p))),
            }
        )
        without_reset(self, "maxima")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        lowest = C(-(1 << (p.logit_bits - 1)), signed(p.logit_bits))
        # One comparison a stage: with its routing, two do not fit 12.5 ns on an ECP5.
        values: list[Value] = [
            register(m, Mux(self.mask[lane], self.logits[lane], lowest), name=f"masked_{lane}")
            for lane in range(p.columns)
        ]
        while len(values) > 1:
            values = [
                register(m, maximum(*values[i : i + 2]), name=f"largest_{len(values)}_{i}")
                for i in range(0, len(values), 2)
            ]
        valid = delay(m, self.valid, self.latency - 1, name="valid")
        where = delay(m, Cat(self.restart, self.slot, self.row), self.latency - 1, name="where")
        bits = 1 + slot_bits(p)
        for index in range(p.score_slots * tile_groups(p)):
            slot, row = divmod(index, tile_groups(p))
            current = self.maxima[index]
            here = valid & (where[1:bits] == slot) & (where[bits:] == row)
            with m.If(here & (where[0] | (values[0] > current))):
                m.d.sync += current.eq(values[0])
        return m


# LOAD's write, and DRAIN's read of it as soon as it can be:
#
#   cycle               0      1      2
#   write               group
#   slot, row                  group
#   multiplier, shift                 group
class ContextScales(wiring.Component):
    """Multiplier and shift of every row of all context tiles, a group of rows to the word.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    write : In(ScaleWrite)
    slot, row : In
        Whose scales: the tile, the group's number in it.
    multiplier : Out(W x 16)
    shift : Out(W x 6)

    Latency
    -------
    `latency` cycles; a scale may be read the cycle after it was written.

    Throughput
    ----------
    One group a cycle.
    """

    latency = CONTEXT_SCALE
    write: ScaleWritePorts
    slot: Signal
    row: Signal
    multiplier: Any
    shift: Any

    def __init__(self, parameters: MachineParameters) -> None:
        scale = ScaleWrite(parameters)
        self._bits = address_bits(tile_groups(parameters))
        super().__init__(
            {
                "write": In(scale),
                "slot": In(slot_bits(parameters)),
                "row": In(self._bits),
                "multiplier": Out(scale.members["multiplier"].shape),
                "shift": Out(scale.members["shift"].shape),
            }
        )
        without_reset(self, "multiplier", "shift")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        word = Cat(self.write.multiplier, self.write.shift)
        scales = ram(m, "scales", len(word), 1 << self._bits + len(self.slot))
        write, read = scales.write_port(), scales.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.write.valid),
            write.addr.eq(Cat(self.write.row, self.write.slot)),
            write.data.eq(word),
            read.addr.eq(Cat(self.row, self.slot)),
        ]
        m.d.sync += Cat(self.multiplier, self.shift).eq(read.data)
        return m
