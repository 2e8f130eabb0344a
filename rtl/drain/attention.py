# SPDX-License-Identifier: Apache-2.0
"""DRAIN mode attention: row maxima of the scores, scales of the context rows."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import CONTEXT_SCALE, row_maxima
from hlsgen.rtl.format.widths import tile_groups
from hlsgen.rtl.parts.memories import ram, words_of
from hlsgen.rtl.parts.pipeline import address_bits, delay, maximum, register, without_reset


class RowMaxima(wiring.Component):
    """The running maximum of one row of every group of both score tiles, over the columns that are keys.

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
    maxima : Out(2 * groups x signed logit)

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
                "slot": In(1),
                "row": In(address_bits(tile_groups(p))),
                "maxima": Out(data.ArrayLayout(signed(p.logit_bits), 2 * tile_groups(p))),
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
        for index in range(2 * tile_groups(p)):
            slot, row = divmod(index, tile_groups(p))
            current = self.maxima[index]
            here = valid & (where[1] == slot) & (where[2:] == row)
            with m.If(here & (where[0] | (values[0] > current))):
                m.d.sync += current.eq(values[0])
        return m


class ContextScales(wiring.Component):
    """Multiplier and shift of every row of both context tiles.

    Parameters
    ----------
    rows
        R.

    Members
    -------
    write, write_slot, write_row, write_multiplier, write_shift : In
    slot, row : In
    multiplier : Out(16)
    shift : Out(6)

    Latency
    -------
    `latency` cycles; a scale may be read the cycle after it was written.

    Throughput
    ----------
    One row a cycle.
    """

    latency = CONTEXT_SCALE
    write: Signal
    write_slot: Signal
    write_row: Signal
    write_multiplier: Signal
    write_shift: Signal
    slot: Signal
    row: Signal
    multiplier: Signal
    shift: Signal

    def __init__(self, rows: int) -> None:
        self._bits = address_bits(rows)
        super().__init__(
            {
                "write": In(1),
                "write_slot": In(1),
                "write_row": In(self._bits),
                "write_multiplier": In(16),
                "write_shift": In(6),
                "slot": In(1),
                "row": In(self._bits),
                "multiplier": Out(16),
                "shift": Out(6),
            }
        )
        without_reset(self, "multiplier", "shift")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        scales = ram(m, "scales", 22, 2 << self._bits)
        write, read = scales.write_port(), scales.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(Cat(self.write_row, self.write_slot)),
            write.data.eq(Cat(self.write_multiplier, self.write_shift)),
            read.addr.eq(Cat(self.row, self.slot)),
        ]
        m.d.sync += Cat(self.multiplier, self.shift).eq(read.data)
        return m
