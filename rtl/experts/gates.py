# SPDX-License-Identifier: Apache-2.0
"""Routing, second part: gate weights, and the tokens' way into their queues."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import route_pace
from hlsgen.numerics import GATE_ONE, GateMode
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.arith.numerics import round_half_up
from hlsgen.rtl.arith.reciprocal import Reciprocal
from hlsgen.rtl.experts.select import (
    READ_LATENCY,
    LogitRead,
    LogitReadPorts,
    LogitWalk,
    best_list,
    chosen_list,
)
from hlsgen.rtl.format.experts import GATE_BITS, expert_bits
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, ram
from hlsgen.rtl.parts.pipeline import delay, register, total

SUM_BITS = 32


def weighed_list(p: MachineParameters) -> data.StructLayout:
    """The chosen experts with their table values, and what those are divided by."""
    item = data.StructLayout({"expert": expert_bits(p), "value": GATE_BITS})
    return data.StructLayout(
        {"items": data.ArrayLayout(item, p.choices), "sum": SUM_BITS, "lowest": expert_bits(p)}
    )


# A list of k = 2 experts, its own values added up:
#
#   cycle        0     1        2       3     6        7        8            9
#   state        idle  chosen   chosen  idle
#   best (held)        list
#   index (registered)                        (4)
#   values                                    first    second
#   weighed                                            first    both
#   complete                                                    1
#   o.valid                                                                  1
#
# The next list is taken in cycle 3, but it ends, waiting in `hold`, only when this one has left: a list in 8
# cycles at the least.


class RouteSums(wiring.Component):
    """Looks a list's logits up in the gate table and adds up what the gates are divided by.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    i : In(stream of chosen_list), o : Out(stream of weighed_list)
    experts, choices, gate_mode : In
    read : Out(LogitRead)
    table : In(TableWrite)
        Four entries of the gate table.

    Throughput
    ----------
    A token in max(k + 1, 8) cycles; where all experts' weights are added up in max(k + 1 + E / pace, 8).
    """

    i: stream.Interface
    o: stream.Interface
    experts: Signal
    choices: Signal
    gate_mode: Signal
    read: LogitReadPorts
    table: TableWritePorts

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(chosen_list(p))),
                "o": Out(stream.Signature(weighed_list(p))),
                **{name: In(FIELD_BITS[name]) for name in ("experts", "choices", "gate_mode")},
                "read": Out(LogitRead(p)),
                "table": In(TableWrite(1 << p.logit_bits)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.walk = walk = LogitWalk(p)
        best, number = Signal(best_list(p), reset_less=True), Signal(FIELD_BITS["choices"])
        asks, ends, waiting = Signal(), Signal(), Signal(2)
        given = self.i.payload
        address = Signal.like(given.address, reset_less=True)
        m.d.comb += [walk.experts.eq(self.experts), walk.address.eq(address)]
        wiring.connect(m, walk.read, wiring.flipped(self.read))
        sums_all = self.gate_mode == GateMode.ALL
        with m.FSM(name="sums"):
            with m.State("idle"):
                # The list before is in its buffer before the first value of this one comes.
                m.d.comb += self.i.ready.eq(waiting <= 1)
                m.d.sync += [best.eq(given.best), address.eq(given.address), number.eq(0)]
                with m.If(self.i.valid & self.i.ready):
                    m.next = "chosen"
            with m.State("chosen"):
                m.d.comb += asks.eq(1)
                m.d.sync += number.eq(number + 1)
                with m.If(number + 1 == self.choices):
                    with m.If(sums_all):
                        m.d.comb += walk.start.eq(1)
                        m.next = "all"
                    with m.Else():
                        self._end(m, ends, waiting)
            with m.State("all"), m.If(walk.finishing):
                self._end(m, ends, waiting)
            with m.State("hold"), m.If(waiting == 0):
                self._end(m, ends, waiting)
        weighed = self._look_up(m, best, number, asks, walk)
        complete = delay(m, ends, READ_LATENCY + 4, name="complete")
        self._buffer(m, weighed, complete, ends, waiting)
        return m

    @staticmethod
    def _end(m: Module, ends: Signal, waiting: Signal) -> None:
        """The list is complete as soon as its last value has come; it needs the buffer to be free."""
        m.next = "hold"
        with m.If(waiting == 0):
            m.d.comb += ends.eq(1)
            m.next = "idle"

    def _buffer(self, m: Module, weighed: Any, complete: Value, ends: Value, waiting: Signal) -> None:
        """The finished list, until it is taken; `waiting`: lists that are in it or on their way."""
        takes = self.o.valid & self.o.ready
        with m.If(complete):
            m.d.sync += [self.o.payload.eq(weighed), self.o.valid.eq(1)]
        with m.Elif(takes):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += waiting.eq(waiting + ends - takes)

    def _look_up(self, m: Module, best: Any, number: Signal, asks: Signal, walk: LogitWalk) -> Any:
        """The list's table values and the sum, as they come."""
        p = self._parameters
        weighed = Signal(weighed_list(p), reset_less=True)
        items = Array([best.items[index] for index in range(p.choices)])
        item = items[number]
        top, sigmoid = best.items[0].logit, self.gate_mode == GateMode.SIGMOID
        half = 1 << (p.logit_bits - 1)
        # From the list, or from the walk through all experts; never both at once: the list's logits go as
        # long a way as those of the walk.
        late = delay(m, asks, READ_LATENCY, name="late")
        listed = delay(m, item.logit, READ_LATENCY, name="listed")
        highest = delay(m, top, READ_LATENCY, name="highest")
        first = Mux(late, listed, walk.logit[0])
        indices = [Mux(sigmoid, first + half, highest - first)]
        indices += [highest - walk.logit[index] for index in range(1, route_pace(p))]
        values = self._table(
            m, [register(m, index[: p.logit_bits], name=f"index_{i}") for i, index in enumerate(indices)]
        )
        from_list = delay(m, late, 3, name="from_list")
        from_walk = delay(m, walk.valid, 3, name="from_walk")
        place = delay(m, number, READ_LATENCY + 3, name="place")
        expert = delay(m, item.expert, READ_LATENCY + 3, name="expert")
        fresh = from_list & (place == 0)
        with m.If(from_list):
            for position in range(p.choices):
                with m.If(place == position):
                    m.d.sync += [
                        weighed.items[position].value.eq(values[0]),
                        weighed.items[position].expert.eq(expert),
                    ]
            with m.If(fresh | (expert < weighed.lowest)):
                m.d.sync += weighed.lowest.eq(expert)
        sums_all = self.gate_mode == GateMode.ALL
        counted = [Mux(from_walk[index] & sums_all, value, 0) for index, value in enumerate(values)]
        counted.append(Mux(from_list & ~sums_all, values[0], 0))
        m.d.sync += weighed.sum.eq(Mux(fresh, 0, weighed.sum) + total(counted))
        return weighed

    def _table(self, m: Module, indices: list[Value]) -> list[Value]:
        """The table's entries two cycles later; it is written four entries at a time."""
        p = self._parameters
        table = ram(m, "gates", 64, 1 << (p.logit_bits - 2))
        write, values = table.write_port(), []
        m.d.comb += [
            write.en.eq(self.table.valid),
            write.addr.eq(self.table.address),
            write.data.eq(self.table.data),
        ]
        for number, index in enumerate(indices):
            read = table.read_port()
            m.d.comb += read.addr.eq(index[2:])
            part = register(m, index[:2], name=f"part_{number}")
            values.append(register(m, read.data.word_select(part, 16)[:GATE_BITS], name=f"value_{number}"))
        return values


# A token with k = 2 entries:
#
#   cycle        0     1 .. 9  10       11     12     13     14  15  16     17     18
#   state        idle  divide  divide   weigh  weigh  idle
#   reciprocal   start         valid
#   asks                                0      1
#   product.p                                                0   1
#   append                                                           0      1
#   done                                                                    1


class RouteGates(wiring.Component):
    """Divides, and appends a token to the queues of its experts.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    i : In(stream of weighed_list)
    choices, gate_mode : In
    append : Out(1), expert, gate, first : Out
    done : Out(1)
        The token's last entry is appended.

    Throughput
    ----------
    A token in k + 11 cycles.
    """

    i: stream.Interface
    choices: Signal
    gate_mode: Signal
    append: Signal
    expert: Signal
    gate: Signal
    first: Signal
    done: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(weighed_list(p))),
                **{name: In(FIELD_BITS[name]) for name in ("choices", "gate_mode")},
                "append": Out(1),
                "expert": Out(expert_bits(p)),
                "gate": Out(GATE_BITS),
                "first": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.reciprocal = reciprocal = Reciprocal()
        held = Signal(weighed_list(p), reset_less=True)
        number, asks = Signal(FIELD_BITS["choices"]), Signal()
        last = number + 1 == self.choices
        m.d.comb += reciprocal.x.eq(self.i.payload.sum)
        with m.FSM(name="gates"):
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [held.eq(self.i.payload), number.eq(0)]
                with m.If(self.i.valid):
                    m.d.comb += reciprocal.start.eq(1)
                    m.next = "divide"
            with m.State("divide"), m.If(reciprocal.valid):
                m.next = "weigh"
            with m.State("weigh"):
                m.d.comb += asks.eq(1)
                m.d.sync += number.eq(number + 1)
                with m.If(last):
                    m.next = "idle"
        self._divide(m, held, number, asks, reciprocal)
        return m

    def _divide(self, m: Module, held: Any, number: Signal, asks: Value, reciprocal: Reciprocal) -> None:
        """The entry of the expert with this number, five cycles later."""
        items = Array([held.items[index] for index in range(self._parameters.choices)])
        item = items[number]
        m.submodules.product = product = Multiplier(GATE_BITS + 1, 17, latency=3)
        m.d.comb += [
            product.a.eq(Cat(item.value, C(0, 1)).as_signed()),
            product.b.eq(Cat(reciprocal.mantissa, C(0, 1)).as_signed()),
        ]
        exponent = delay(m, reciprocal.exponent, 3, name="exponent")
        shifted = register(m, (product.p >> exponent), name="shifted")
        rounded = round_half_up(shifted)
        quotient = Mux(rounded > GATE_ONE, GATE_ONE, rounded)[:GATE_BITS]
        plain = delay(m, item.value, 4, name="plain")
        m.d.sync += [
            self.gate.eq(Mux(self.gate_mode == GateMode.SIGMOID, plain, quotient)),
            self.expert.eq(delay(m, item.expert, 4, name="expert")),
            self.first.eq(delay(m, item.expert == held.lowest, 4, name="first")),
            self.append.eq(delay(m, asks, 4, name="asks")),
            self.done.eq(delay(m, asks & (number + 1 == self.choices), 4, name="last")),
        ]
