# SPDX-License-Identifier: Apache-2.0
"""Routing, first part: the k best experts of a token, two experts a cycle."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import route_pace
from hlsgen.rtl.format.experts import expert_bits, logit_address_bits
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import address_bits, delay, register
from hlsgen.rtl.parts.ports import Bundle

READ_LATENCY = 2
"""Cycles from an address to the logits."""


def best_list(p: MachineParameters) -> data.StructLayout:
    """The best experts of a token, best first."""
    item = data.StructLayout({"logit": signed(p.logit_bits), "expert": expert_bits(p)})
    return data.StructLayout({"items": data.ArrayLayout(item, p.choices)})


def chosen_list(p: MachineParameters) -> data.StructLayout:
    """A finished list, and its token's first word of logits."""
    return data.StructLayout({"best": best_list(p), "address": logit_address_bits(p)})


class LogitReadPorts(wiring.PureInterface):
    """An interface of `LogitRead`."""

    address: Signal
    word: Any


class LogitRead(Bundle):
    """A reader of the logit memory (`Out`).

    address : Out
    word : In(C x signed logit)
        `READ_LATENCY` cycles after the address.
    """

    interface: ClassVar = LogitReadPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {"address": Out(logit_address_bits(p)), "word": In(words_of(p.logit_bits, p.columns))}
        )


class LogitWalk(wiring.Component):
    """Reads a token's logits in order, `pace` a cycle, from words of C.

    Members
    -------
    start : In(1), address : In
        The token's first word.
    experts : In
    read : Out(LogitRead)
    next_address : Out
        The word after the token's last, from `finishing` on.
    finishing : Out(1)
        The last logit is being asked for.
    valid : Out(pace), expert : Out, logit : Out
        Which of the logits are real, the first one's expert, and the logits, `READ_LATENCY` cycles after they
        were asked for.
    last : Out(1)
    """

    start: Signal
    address: Signal
    experts: Signal
    read: LogitReadPorts
    next_address: Signal
    finishing: Signal
    valid: Signal
    last: Signal
    expert: Signal
    logit: Any

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        address = logit_address_bits(p)
        super().__init__(
            {
                "start": In(1),
                "address": In(address),
                "experts": In(FIELD_BITS["experts"]),
                "read": Out(LogitRead(p)),
                "next_address": Out(address),
                "finishing": Out(1),
                "valid": Out(route_pace(p)),
                "last": Out(1),
                "expert": Out(expert_bits(p)),
                "logit": Out(data.ArrayLayout(signed(p.logit_bits), route_pace(p))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p, step = Module(), self._parameters, route_pace(self._parameters)
        running, expert = Signal(), Signal(FIELD_BITS["experts"])
        lane = Signal(address_bits(p.columns))
        last = expert + step >= self.experts
        wraps = lane == p.columns - step
        real = Cat(running & (expert + index < self.experts) for index in range(step))
        with m.If(running):
            m.d.sync += [expert.eq(expert + step), lane.eq(Mux(wraps, 0, lane + step))]
            with m.If(wraps | last):
                m.d.sync += self.read.address.eq(self.read.address + 1)
            with m.If(last):
                m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), expert.eq(0), lane.eq(0), self.read.address.eq(self.address)]
        m.d.comb += [self.finishing.eq(running & last), self.next_address.eq(self.read.address)]
        found = delay(m, lane, READ_LATENCY, name="lane")
        for index in range(step):
            places = [self.read.word[(first + index) % p.columns] for first in range(p.columns)]
            m.d.comb += self.logit[index].eq(Array(places)[found])
        m.d.comb += [
            self.valid.eq(delay(m, real, READ_LATENCY, name="valid")),
            self.last.eq(delay(m, last, READ_LATENCY, name="last")),
            self.expert.eq(delay(m, expert, READ_LATENCY, name="expert")),
        ]
        return m


# A token, n = E / pace cycles of logits:
#
#   cycle             0     1 .. n    3 .. n+2  4 .. n+3    5 .. n+4  n+4   n+5   n+6
#   state             idle  walk                                            hold  idle
#   read.address            words
#   walk.logit                        logits
#   logit (register)                            compared
#   best                                                    sorted
#   done                                                              1
#   o.valid                                                                 1


class RouteSelect(wiring.Component):
    """Sorts a token's logits into a list of the best; equal logits leave the lower expert in front.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    clear : In(1)
        A routing begins.
    available : In(1)
        A token's logits are complete.
    experts : In
    taken : Out(1)
        A token of those available is begun.
    read : Out(LogitRead)
    o : Out(stream of chosen_list)

    Throughput
    ----------
    A token in E / pace + 6 cycles.
    """

    clear: Signal
    available: Signal
    experts: Signal
    taken: Signal
    read: LogitReadPorts
    o: stream.Interface

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "clear": In(1),
                "available": In(1),
                "experts": In(FIELD_BITS["experts"]),
                "taken": Out(1),
                "read": Out(LogitRead(p)),
                "o": Out(stream.Signature(chosen_list(p))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.walk = walk = LogitWalk(self._parameters)
        following, done = Signal.like(self.o.payload.address), Signal()
        m.d.comb += [
            walk.experts.eq(self.experts),
            walk.address.eq(following),
        ]
        wiring.connect(m, walk.read, wiring.flipped(self.read))
        with m.FSM(name="select"):
            with m.State("idle"), m.If(self.available):
                m.d.comb += [walk.start.eq(1), self.taken.eq(1)]
                m.d.sync += self.o.payload.address.eq(following)
                m.next = "walk"
            with m.State("walk"), m.If(done):
                m.d.sync += following.eq(walk.next_address)
                m.next = "hold"
            with m.State("hold"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "idle"
        with m.If(self.clear):
            m.d.sync += following.eq(0)
        m.d.comb += done.eq(self._insert(m, walk))
        return m

    def _insert(self, m: Module, walk: LogitWalk) -> Value:
        """More logits in the list, which is empty at first; returns when the last one is in."""
        p, best = self._parameters, self.o.payload.best
        valid = register(m, walk.valid, name="valid_1")
        expert = register(m, walk.expert, name="expert_1")
        used = Signal(p.choices)
        items: list[tuple[Value, Value, Value]] = [
            (used[index], best.items[index].logit, best.items[index].expert) for index in range(p.choices)
        ]
        for index in range(route_pace(p)):
            logit = register(m, walk.logit[index], name=f"logit_{index}")
            items = self._inserted(items, valid[index], logit, expert + index)
        for index, (taken, logit, number) in enumerate(items):
            item = best.items[index]
            m.d.sync += [used[index].eq(taken), item.logit.eq(logit), item.expert.eq(number)]
        with m.If(self.taken):
            m.d.sync += used.eq(0)
        return register(m, valid.any() & register(m, walk.last, name="last_1"), name="inserted")

    @staticmethod
    def _inserted(
        items: list[tuple[Value, Value, Value]], valid: Value, logit: Value, expert: Value
    ) -> list[tuple[Value, Value, Value]]:
        """The sorted list with one more entry, if `valid`, behind its equals; the last entry drops out."""
        stays = [~valid | (used & (old >= logit)) for used, old, _ in items]
        result = [
            (
                Mux(stays[0], items[0][0], 1),
                Mux(stays[0], items[0][1], logit),
                Mux(stays[0], items[0][2], expert),
            )
        ]
        for index in range(1, len(items)):
            here, before = items[index], items[index - 1]
            comes = (C(1, 1), logit, expert)
            result.append(
                tuple(  # type: ignore[arg-type]
                    Mux(stays[index], mine, Mux(stays[index - 1], new, pushed))
                    for mine, new, pushed in zip(here, comes, before, strict=True)
                )
            )
        return result
