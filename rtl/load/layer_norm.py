# SPDX-License-Identifier: Apache-2.0
"""LOAD mode layer_norm: statistics of one row while the row before is normalised; also pool and pool_norm."""

from __future__ import annotations

from typing import Any

from amaranth import C, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import CALL, CENTRE, MEMORY, MULTIPLIER, norm, statistics
from hlsgen.rtl.arith.multiplier import Multiplier, MultiplierPlan
from hlsgen.rtl.arith.numerics import saturate_bits
from hlsgen.rtl.format.jobs import load_config, load_tag
from hlsgen.rtl.format.widths import shift_entries
from hlsgen.rtl.load.normalise import (
    AMOUNT_BITS,
    LEFT_BITS,
    VALUE_BITS,
    NormaliseLanes,
    NormShifts,
    ShiftsPorts,
    shift_amount,
    shift_ports,
)
from hlsgen.rtl.load.parts import Join, Split
from hlsgen.rtl.load.pool import Pool
from hlsgen.rtl.load.ports import SUM_BITS, Column, ColumnPorts, NormRow, NormRowPorts, Words, WordsPorts
from hlsgen.rtl.parts.memories import WordMemory, delay_in_memory, ram, words_of
from hlsgen.rtl.parts.pipeline import address_bits, copies, delay, register, tree, without_reset

ROWS_UNDER_WAY = 8
"""Rows between their last word and their first normalised word, at most."""


# A row of two words of two to four columns, on to the row unit:
#
#   cycle              0       1       2       5       6       7
#   i                  word 0  word 1
#   x                          word 0  word 1
#   a word's sums                              word 0  word 1        more cycles for more columns
#   row.sum, squares                                   word 0  row   `row.start` with the row's
#
# From its answer on; beside it a column of pooling, whose last group came in cycle 4:
#
#   cycle           0    1  3  4  5    6    7  8  9    10  11  14  15
#   row.valid       row
#   running              0                                              the word's address where words wait
#   found                   0  1
#   lanes.value                             0  1                        centred
#   lanes.shifted                                      0   1
#   o                                                          0   1
#   pool.sum                      sum
#   lanes.value                        sum
#   lanes.shifted                                 sum                   `o`, or a row's word
class LayerNormLoad(wiring.Component):
    """Residual words of one row of a group to normalised operand words.

    Parameters
    ----------
    parameters
        The machine's shape.
    plan
        Multiplier styles.
    pools
        It pools, too: the group's first row does in a machine that can.
    memory
        Tags wait in LUT memory.
    trace
        Tags carry the trace.

    Members
    -------
    config : In
        Holds while words are under way.
    i : In(Words)
        Residual words; rows at least `PRODUCTS` cycles apart.
    column : In(Column)
        For pooling.
    row : Out(NormRow)
        To the row unit.
    shifts : Out(Shifts)
        To the memory of norm shifts; only in machines that have one.
    o : Out(Words)
        Operand words.

    Latency
    -------
    `latency` cycles from a row's last word to its first operand word.

    Throughput
    ----------
    One word a cycle.
    """

    config: Any
    i: WordsPorts
    column: ColumnPorts
    row: NormRowPorts
    shifts: ShiftsPorts
    o: WordsPorts

    def __init__(
        self,
        parameters: MachineParameters,
        plan: MultiplierPlan,
        *,
        pools: bool = True,
        memory: bool = False,
        trace: bool = False,
    ) -> None:
        self._parameters, self._plan, self._pools = parameters, plan, pools
        self._delay = delay_in_memory if memory else delay
        self._tag = load_tag(parameters, trace)
        self.latency = norm(parameters)
        columns = parameters.columns
        super().__init__(
            {
                "config": In(load_config(parameters)),
                "i": In(Words(parameters, words_of(16, columns), trace)),
                "column": In(Column(parameters)),
                "row": Out(NormRow()),
                **shift_ports(parameters),
                "o": Out(Words(parameters, words_of(8, columns), trace)),
            }
        )
        without_reset(self.row, "sum", "squares")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.lanes = lanes = NormaliseLanes(
            p.norm_lanes, style=self._plan.normalise, own_amounts=shift_entries(p) > 0
        )
        m.submodules.split = split = Split(p.norm_parts or 1, words_of(16, p.columns), self._tag)
        m.submodules.join = join = Join(p.norm_parts or 1, words_of(8, p.columns))
        m.d.comb += [
            split.valid.eq(self.i.valid & ~self.column.pools),
            split.word.eq(self.i.word),
            split.tag.eq(self.i.tag),
        ]
        pool_valid, pool_sums, pool_tag = self._pool(m)
        # Many lanes look at these two: each is a register, not the end of a shift register.
        pooled, is_pool = C(0, 1), C(0, 1)
        if self._pools:
            comes = delay(m, pool_valid, lanes.shifted_latency, name="pooled")
            (pooled,) = copies(m, comes, 1, name="pooled_now")
            (is_pool,) = copies(m, comes & ~self.column.to_norm, 1, name="is_pool")
        pooled_tag = delay(m, pool_tag, 1 + lanes.shifted_latency, name="pooled_tag")
        to_norm = register(m, self.column.to_norm, name="to_norm")
        row_valid = split.o_valid | (pooled & to_norm)
        row_tag = Signal(self._tag)
        row_word = Signal(words_of(16, p.norm_lanes))
        m.d.comb += row_tag.eq(Mux(pooled, pooled_tag, split.o_tag))
        for lane in range(p.norm_lanes):
            mean = saturate_bits(lanes.shifted[lane], 16)
            m.d.comb += row_word[lane].eq(Mux(pooled, mean, split.part[lane]))
        self._statistics(m, row_valid, row_word, row_tag)
        found, found_word, found_tag, starts = self._rows(m, row_valid, row_word, row_tag)
        self._normalise(m, lanes, found_word, starts, pool_valid, pool_sums)
        out_tag = self._delay(m, found_tag, CENTRE + lanes.latency, name="o_tag")
        out_valid = delay(m, found, CENTRE + lanes.latency, name="o_valid")
        m.d.comb += [join.valid.eq(out_valid | is_pool), self.o.tag.eq(Mux(is_pool, pooled_tag, out_tag))]
        for lane in range(p.norm_lanes):
            mean = saturate_bits(lanes.shifted[lane], 8)
            m.d.comb += join.part[lane].eq(Mux(is_pool, mean, lanes.result[lane]))
        m.d.comb += [self.o.valid.eq(join.o_valid), self.o.word.eq(join.word)]
        return m

    def _pool(self, m: Module) -> tuple[Value, Any, Any]:
        """Sums over rows, where they are wanted: valid, sums and tag of a part of a word."""
        p = self._parameters
        if not self._pools:
            return C(0, 1), [C(0, signed(VALUE_BITS))] * p.norm_lanes, Signal(self._tag)
        m.submodules.pool = pool = Pool(p.columns, p.row_width)
        m.d.comb += [
            pool.valid.eq(self.i.valid & self.column.pools),
            pool.first.eq(self.column.first),
            pool.last.eq(self.column.last),
            pool.rows.eq(self.column.rows),
            pool.word.eq(self.column.words),
        ]
        sums = data.ArrayLayout(signed(VALUE_BITS), p.columns)
        m.submodules.split_sums = split = Split(p.norm_parts or 1, sums, self._tag)
        m.d.comb += [
            split.valid.eq(pool.o_valid),
            split.word.eq(pool.sum),
            split.tag.eq(delay(m, self.i.tag, Pool.latency, name="pool_tag")),
        ]
        return split.o_valid, split.part, split.o_tag

    def _statistics(self, m: Module, valid: Value, word: Any, tag: Any) -> None:
        """Sum and sum of squares of a row, then the row unit's start."""
        valid = register(m, valid, name="x_valid")
        first = register(m, tag.row_first, name="x_first")
        last = register(m, tag.row_last, name="x_last")
        word = register(m, word, name="x")
        columns = self._parameters.norm_lanes
        squares = []
        for lane in range(columns):
            square = Multiplier(16, 16, latency=MULTIPLIER, style=self._plan.square)
            m.submodules[f"square_{lane}"] = square
            m.d.comb += [square.a.eq(word[lane]), square.b.eq(word[lane])]
            squares.append(square.p.as_unsigned()[:31])
        word_squares, stages = tree(m, squares, name="squares")
        stages += MULTIPLIER
        assert 1 + stages + 1 + (self._parameters.norm_parts or 1) - 1 == statistics(self._parameters)
        word_sum, early = tree(m, [word[lane] for lane in range(columns)], name="sums")
        word_sum = delay(m, word_sum, stages - early, name="word_sum")
        valid = delay(m, valid, stages, name="s_valid")
        first = delay(m, first, stages, name="s_first")
        last = delay(m, last, stages, name="s_last")
        if self._parameters.field_bits["norm_rms"]:
            # An RMS norm leaves the row's mean where it is: its sum counts as 0.
            word_sum = Mux(self.config.norm_rms, 0, word_sum)
        with m.If(valid):
            m.d.sync += [
                self.row.sum.eq(Mux(first, 0, self.row.sum) + word_sum),
                self.row.squares.eq(Mux(first, 0, self.row.squares) + word_squares),
            ]
        m.d.sync += self.row.start.eq(valid & last)

    def _rows(self, m: Module, valid: Value, word: Any, tag: Any) -> tuple[Value, Any, Any, Value]:
        """Words wait for their row's result: valid, word and tag two cycles after they are called."""
        p = self._parameters
        parts = p.norm_parts or 1
        depth = 1 << address_bits(parts * p.tile_words + 64)
        layout = data.StructLayout({"word": words_of(16, p.norm_lanes), "tag": self._tag})
        m.submodules.waiting = waiting = WordMemory(layout.size, depth)
        entry = Signal(layout)
        m.d.comb += [entry.word.eq(word), entry.tag.eq(tag)]
        tail, head = Signal(address_bits(depth)), Signal(address_bits(depth))
        words = self.config.words << (parts.bit_length() - 1)
        left = Signal(len(words))
        running = Signal()
        with m.If(running):
            m.d.sync += [head.eq(head + 1), left.eq(left - 1), running.eq(left != 1)]
        with m.If(self.row.valid):
            m.d.sync += [left.eq(words), running.eq(1)]
        m.d.comb += [
            waiting.write.eq(valid),
            waiting.write_address.eq(tail),
            waiting.write_data.eq(entry),
            waiting.read_address[0].eq(head),
        ]
        m.d.sync += tail.eq(tail + valid)
        found = data.View(layout, waiting.read_data[0])
        starts = register(m, self.row.valid, name="starts")
        called = delay(m, running, MEMORY, name="running")
        if shift_entries(p):
            assert NormShifts.latency == CENTRE - 1  # the shifts are there as the centred values come
            m.d.comb += self.shifts.begins.eq(delay(m, starts, MEMORY - 1, name="shifts_begin"))
            m.d.comb += self.shifts.asks.eq(called)
        return called, found.word, found.tag, starts

    def _sums(self, m: Module) -> Value:
        """The sum of the row whose result is there."""
        memory = ram(m, "sums", signed(SUM_BITS), ROWS_UNDER_WAY)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        tail, head = Signal(address_bits(ROWS_UNDER_WAY)), Signal(address_bits(ROWS_UNDER_WAY))
        m.d.comb += [
            write.en.eq(self.row.start),
            write.addr.eq(tail),
            write.data.eq(self.row.sum),
            read.addr.eq(head),
        ]
        m.d.sync += [tail.eq(tail + self.row.start), head.eq(head + self.row.valid)]
        return read.data

    def _normalise(
        self,
        m: Module,
        lanes: NormaliseLanes,
        word: Any,
        starts: Value,
        pool_valid: Value,
        pool_sums: Any,
    ) -> None:
        """Row parameters are copied from stage to stage as the row's first word passes.

        `starts` comes with the cycle in which the row's first word is called; its data come 2 cycles later,
        the product with the width 3 cycles after that.
        """
        sums = self._sums(m)
        layout = data.StructLayout({"sum": signed(SUM_BITS), "multiplier": 16, "amount": 6})
        row, centre = Signal(layout, reset_less=True), Signal(layout, reset_less=True)
        with m.If(self.row.valid):
            m.d.sync += [
                row.sum.eq(sums),
                row.multiplier.eq(self.row.multiplier),
                row.amount.eq(shift_amount(self.row.shift)),
            ]
        at_centre = delay(m, starts, CALL + MULTIPLIER - 2, name="at_centre")
        with m.If(at_centre):
            m.d.sync += centre.eq(row)
        at_product = delay(m, at_centre, 1 + lanes.multiply_at, name="at_product")
        with m.If(at_product):
            m.d.sync += lanes.multiplier.eq(centre.multiplier)
        # No row is longer than a row of a tile slot.
        longest = self._parameters.tile_words * self._parameters.columns
        width = self.config.norm_width[: longest.bit_length()]
        pool_amount = self.config.pool_shift + LEFT_BITS
        if shift_entries(self._parameters):
            for lane in range(self._parameters.norm_lanes):
                own = (centre.amount - self.shifts.shift[lane])[:AMOUNT_BITS]
                m.d.sync += lanes.amount[lane].eq(Mux(pool_valid, pool_amount, own))
        else:
            m.d.sync += lanes.amount.eq(Mux(pool_valid, pool_amount, centre.amount))
        for lane in range(self._parameters.norm_lanes):
            product = Multiplier(16, len(width) + 1, latency=MULTIPLIER, style=self._plan.centre)
            m.submodules[f"centre_{lane}"] = product
            value = Signal(signed(VALUE_BITS), name=f"value_{lane}", reset_less=True)
            m.d.comb += [product.a.eq(word[lane]), product.b.eq(width), lanes.value[lane].eq(value)]
            m.d.sync += value.eq(Mux(pool_valid, pool_sums[lane], product.p - centre.sum))
