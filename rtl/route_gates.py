"""Routing, second part: gate weights, and the tokens' way into their queues."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.parameters import MachineParameters
from hlsgen.numerics import GATE_ONE, GateMode
from hlsgen.rtl.expert_queues import GATE_BITS
from hlsgen.rtl.jobs import FIELD_BITS
from hlsgen.rtl.memories import ram
from hlsgen.rtl.multiplier import Multiplier
from hlsgen.rtl.numerics import round_half_up
from hlsgen.rtl.pipeline import address_bits, delay, register
from hlsgen.rtl.reciprocal import Reciprocal
from hlsgen.rtl.route_select import LogitWalk, best_list, logit_address_bits

SUM_BITS = 32


def weighed_list(p: MachineParameters) -> data.StructLayout:
    """The chosen experts with their table values, and what those are divided by."""
    item = data.StructLayout({"expert": address_bits(p.experts), "value": GATE_BITS})
    return data.StructLayout(
        {"items": data.ArrayLayout(item, p.choices), "sum": SUM_BITS, "lowest": address_bits(p.experts)}
    )


class RouteSums(wiring.Component):
    """Looks a list's logits up in the gate table and adds up what the gates are divided by.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    valid : In(1), best, address : In, ready : Out(1)
        A list, and its token's first word of logits.
    experts, choices, gate_mode : In
    read_address : Out, word : In
        The logit memory.
    table_write, table_address, table_data : In
        Four entries of the gate table.
    o_valid : Out(1), o : Out(weighed_list), o_ready : In(1)

    Throughput
    ----------
    A token in k + 8 cycles, E more where all experts' weights are added up.
    """

    valid: Signal
    best: Any
    address: Signal
    ready: Signal
    experts: Signal
    choices: Signal
    gate_mode: Signal
    read_address: Signal
    word: Any
    table_write: Signal
    table_address: Signal
    table_data: Signal
    o_valid: Signal
    o: Any
    o_ready: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        address = logit_address_bits(p)
        super().__init__(
            {
                "valid": In(1),
                "best": In(best_list(p)),
                "address": In(address),
                "ready": Out(1),
                **{name: In(FIELD_BITS[name]) for name in ("experts", "choices", "gate_mode")},
                "read_address": Out(address),
                "word": In(data.ArrayLayout(signed(p.logit_bits), p.columns)),
                "table_write": In(1),
                "table_address": In(p.logit_bits - 2),
                "table_data": In(64),
                "o_valid": Out(1),
                "o": Out(weighed_list(p)),
                "o_ready": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.walk = walk = LogitWalk(p)
        best, number = Signal(best_list(p), reset_less=True), Signal(FIELD_BITS["choices"])
        asks, left = Signal(), Signal(3)
        address = Signal.like(self.address, reset_less=True)
        m.d.comb += [
            walk.experts.eq(self.experts),
            walk.address.eq(address),
            walk.word.eq(self.word),
            self.read_address.eq(walk.read_address),
        ]
        sums_all = self.gate_mode == GateMode.ALL
        with m.FSM(name="sums"):
            with m.State("idle"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += [best.eq(self.best), address.eq(self.address), number.eq(0), self.o.sum.eq(0)]
                m.d.sync += self.o.lowest.eq((1 << len(self.o.lowest)) - 1)
                with m.If(self.valid):
                    m.next = "chosen"
            with m.State("chosen"):
                m.d.comb += asks.eq(1)
                m.d.sync += [number.eq(number + 1), left.eq(7)]
                with m.If(number + 1 == self.choices):
                    m.next = "settle"
                    with m.If(sums_all):
                        m.d.comb += walk.start.eq(1)
                        m.next = "all"
            with m.State("all"), m.If(walk.finishing):
                m.next = "settle"
            with m.State("settle"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "hold"
            with m.State("hold"):
                m.d.comb += self.o_valid.eq(1)
                with m.If(self.o_ready):
                    m.next = "idle"
        self._look_up(m, best, number, asks, walk)
        return m

    def _look_up(self, m: Module, best: Any, number: Signal, asks: Signal, walk: LogitWalk) -> None:
        p = self._parameters
        items = Array([best.items[index] for index in range(p.choices)])
        item = items[number]
        top, sigmoid = best.items[0].logit, self.gate_mode == GateMode.SIGMOID
        half = 1 << (p.logit_bits - 1)
        # From the list, or from the walk through all experts; never both at once.
        logit = Mux(asks, item.logit, walk.logit)
        index = register(m, Mux(sigmoid, logit + half, top - logit)[: p.logit_bits], name="index")
        value = self._table(m, index)
        from_list = delay(m, asks, 3, name="asks")
        from_walk = delay(m, walk.valid & ~asks, 3, name="walks")
        place = delay(m, number, 3, name="place")
        expert = delay(m, item.expert, 3, name="expert")
        with m.If(from_list):
            for position in range(p.choices):
                with m.If(place == position):
                    m.d.sync += [
                        self.o.items[position].value.eq(value),
                        self.o.items[position].expert.eq(expert),
                    ]
            with m.If(expert < self.o.lowest):
                m.d.sync += self.o.lowest.eq(expert)
        counts = Mux(self.gate_mode == GateMode.ALL, from_walk, from_list)
        with m.If(counts):
            m.d.sync += self.o.sum.eq(self.o.sum + value)

    def _table(self, m: Module, index: Value) -> Value:
        """The table's entry two cycles later; it is written four entries at a time."""
        p = self._parameters
        table = ram(m, "gates", 64, 1 << (p.logit_bits - 2))
        write, read = table.write_port(), table.read_port()
        m.d.comb += [
            write.en.eq(self.table_write),
            write.addr.eq(self.table_address),
            write.data.eq(self.table_data),
            read.addr.eq(index[2:]),
        ]
        part = register(m, index[:2], name="part")
        return register(m, read.data.word_select(part, 16)[:GATE_BITS], name="value")


class RouteGates(wiring.Component):
    """Divides, and appends a token to the queues of its experts.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    valid : In(1), weighed : In(weighed_list), ready : Out(1)
    choices, gate_mode : In
    append : Out(1), expert, gate, first : Out
    done : Out(1)
        The token's last entry is appended.

    Throughput
    ----------
    A token in k + 20 cycles.
    """

    valid: Signal
    weighed: Any
    ready: Signal
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
                "valid": In(1),
                "weighed": In(weighed_list(p)),
                "ready": Out(1),
                **{name: In(FIELD_BITS[name]) for name in ("choices", "gate_mode")},
                "append": Out(1),
                "expert": Out(address_bits(p.experts)),
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
        m.d.comb += reciprocal.x.eq(self.weighed.sum)
        with m.FSM(name="gates"):
            with m.State("idle"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += [held.eq(self.weighed), number.eq(0)]
                with m.If(self.valid):
                    m.d.comb += reciprocal.start.eq(1)
                    m.next = "divide"
            with m.State("divide"), m.If(reciprocal.valid):
                m.next = "weigh"
            with m.State("weigh"):
                m.d.comb += asks.eq(1)
                m.d.sync += number.eq(number + 1)
                with m.If(last):
                    m.next = "idle"
        items = Array([held.items[index] for index in range(p.choices)])
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
            self.done.eq(delay(m, asks & last, 4, name="last")),
        ]
        return m
