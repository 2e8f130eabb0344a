# SPDX-License-Identifier: Apache-2.0
"""Routing, first part: the k best experts of a token, two experts a cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import route_pace
from hlsgen.rtl.format.experts import logit_address_bits
from hlsgen.rtl.format.jobs import FIELD_BITS
from hlsgen.rtl.parts.pipeline import address_bits, delay, register

READ_LATENCY = 2
"""Cycles from an address to the logits."""


def best_list(p: MachineParameters) -> data.StructLayout:
    """The best experts of a token, best first."""
    item = data.StructLayout({"logit": signed(p.logit_bits), "expert": address_bits(p.experts)})
    return data.StructLayout({"items": data.ArrayLayout(item, p.choices)})


class LogitWalk(wiring.Component):
    """Reads a token's logits in order, `pace` a cycle, from words of C.

    Members
    -------
    start : In(1), address : In
        The token's first word.
    experts : In
    read_address : Out, word : In
        Data `READ_LATENCY` cycles after the address.
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
    read_address: Signal
    word: Any
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
                "read_address": Out(address),
                "word": In(data.ArrayLayout(signed(p.logit_bits), p.columns)),
                "next_address": Out(address),
                "finishing": Out(1),
                "valid": Out(route_pace(p)),
                "last": Out(1),
                "expert": Out(address_bits(p.experts)),
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
                m.d.sync += self.read_address.eq(self.read_address + 1)
            with m.If(last):
                m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), expert.eq(0), lane.eq(0), self.read_address.eq(self.address)]
        m.d.comb += [self.finishing.eq(running & last), self.next_address.eq(self.read_address)]
        found = delay(m, lane, READ_LATENCY, name="lane")
        for index in range(step):
            places = [self.word[(first + index) % p.columns] for first in range(p.columns)]
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
#   read_address            words
#   walk.logit                        logits
#   logit (register)                            compared
#   best                                                    sorted
#   done                                                              1
#   valid                                                                   1


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
    read_address : Out, word : In
        The logit memory.
    valid : Out(1), best : Out, address : Out
        A finished list, and the token's first word.
    ready : In(1)

    Throughput
    ----------
    A token in E / pace + 6 cycles.
    """

    clear: Signal
    available: Signal
    experts: Signal
    taken: Signal
    read_address: Signal
    word: Any
    valid: Signal
    best: Any
    address: Signal
    ready: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        address = logit_address_bits(p)
        super().__init__(
            {
                "clear": In(1),
                "available": In(1),
                "experts": In(FIELD_BITS["experts"]),
                "taken": Out(1),
                "read_address": Out(address),
                "word": In(data.ArrayLayout(signed(p.logit_bits), p.columns)),
                "valid": Out(1),
                "best": Out(best_list(p)),
                "address": Out(address),
                "ready": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.walk = walk = LogitWalk(self._parameters)
        following, done = Signal.like(self.address), Signal()
        m.d.comb += [
            walk.experts.eq(self.experts),
            walk.address.eq(following),
            walk.word.eq(self.word),
            self.read_address.eq(walk.read_address),
        ]
        with m.FSM(name="select"):
            with m.State("idle"), m.If(self.available):
                m.d.comb += [walk.start.eq(1), self.taken.eq(1)]
                m.d.sync += self.address.eq(following)
                m.next = "walk"
            with m.State("walk"), m.If(done):
                m.d.sync += following.eq(walk.next_address)
                m.next = "hold"
            with m.State("hold"):
                m.d.comb += self.valid.eq(1)
                with m.If(self.ready):
                    m.next = "idle"
        with m.If(self.clear):
            m.d.sync += following.eq(0)
        m.d.comb += done.eq(self._insert(m, walk))
        return m

    def _insert(self, m: Module, walk: LogitWalk) -> Value:
        """More logits in the list, which is empty at first; returns when the last one is in."""
        p = self._parameters
        valid = register(m, walk.valid, name="valid_1")
        expert = register(m, walk.expert, name="expert_1")
        used = Signal(p.choices)
        items: list[tuple[Value, Value, Value]] = [
            (used[index], self.best.items[index].logit, self.best.items[index].expert)
            for index in range(p.choices)
        ]
        for index in range(route_pace(p)):
            logit = register(m, walk.logit[index], name=f"logit_{index}")
            items = self._inserted(items, valid[index], logit, expert + index)
        for index, (taken, logit, number) in enumerate(items):
            item = self.best.items[index]
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
