# SPDX-License-Identifier: Apache-2.0
"""A stream whose `ready` is a register: no path leads through it from sink to source."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


# Three words; the sink is not ready in cycle 1:
#
#   cycle     0    1    2    3
#   i         a    b    c    c
#   i.ready   1    1    0    1
#   held                b
#   o         a    b    b    c
#   o.ready   1    0    1    1
class ReadyStage(wiring.Component):
    """Passes words on; the one that the sink does not take stays here.

    Parameters
    ----------
    shape
        Payload.

    Members
    -------
    i : In(stream)
        `ready` comes from a register.
    o : Out(stream)

    Latency
    -------
    0 cycles.

    Throughput
    ----------
    One word a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any) -> None:
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        held, kept = Signal(), Signal(self._shape, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~held),
            self.o.valid.eq(self.i.valid | held),
            self.o.payload.eq(Mux(held, kept, self.i.payload)),
        ]
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        with m.If(~held):
            m.d.sync += kept.eq(self.i.payload)
        return m
