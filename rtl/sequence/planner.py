# SPDX-License-Identifier: Apache-2.0
"""Decides which commands run, and opens the sections of the Image that they read."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import COMMAND, COMMAND_BITS, gather_bits, row_bits
from hlsgen.rtl.format.streams import LENGTH_UNITS, segment
from hlsgen.rtl.parts.pipeline import address_bits

SETTLE = 4
"""Cycles after a section was opened until `spent` speaks of it."""
STREAMS = ("weights", "constants")


def planned_command() -> data.StructLayout:
    """A command that runs, and its number in the program."""
    return data.StructLayout({"command": COMMAND_BITS, "number": 16})


class Planner(wiring.Component):
    """Runs ahead of the sequencer: skips commands of other tasks and of experts without tokens.

    An expert's command waits until its routing is complete; then its rows are those of the queue. Only what
    runs is read: each command has sections of its own among weights and constants, opened in turn as soon as
    the ones before have been asked for.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    commands : In(stream)
    task : In(4)
    routing : In(1)
        A router command has drained its first row, and not all its tokens are in their queues.
    drained_commands : In(16)
    expert : Out
        Whose queue is asked for; `tiles` and `tail_rows`, In, are its size a cycle later.
    o : Out(stream of planned_command)
    retired : Out(stream(1))
        For every command in order: whether it was skipped.
    weights_open, constants_open : Out(1), ..._offset, ..._units : Out
        The next section, in units of 64 bytes from the stream's begin.
    weights_spent, constants_spent : In(1)
        The section before has been asked for.
    weights_segment, constants_segment : Out(stream of segment)

    Latency
    -------
    About 6 cycles a command.
    """

    commands: stream.Interface
    task: Signal
    routing: Signal
    drained_commands: Signal
    expert: Signal
    tiles: Signal
    tail_rows: Signal
    o: stream.Interface
    retired: stream.Interface

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        members: dict[str, Any] = {
            "commands": In(stream.Signature(COMMAND_BITS)),
            "task": In(4),
            "drained_commands": In(16),
            "o": Out(stream.Signature(planned_command())),
            "retired": Out(stream.Signature(1)),
        }
        if p.experts:
            members |= {
                "routing": In(1),
                "expert": Out(address_bits(p.experts)),
                "tiles": In(gather_bits(p)),
                "tail_rows": In(row_bits(p)),
            }
        for name in STREAMS:
            members |= {
                f"{name}_open": Out(1),
                f"{name}_offset": Out(LENGTH_UNITS),
                f"{name}_units": Out(LENGTH_UNITS),
                f"{name}_spent": In(1),
                f"{name}_segment": Out(stream.Signature(segment())),
            }
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        command = data.View(COMMAND, self.commands.payload[: COMMAND.size])
        number, settle = Signal(16), Signal(range(SETTLE + 1))
        mine = (command.tasks == 0) | Array(command.tasks[bit] for bit in range(16))[self.task]
        with m.If(settle != 0):
            m.d.sync += settle.eq(settle - 1)
        leave = Signal()
        with m.FSM(name="plan"):
            with m.State("take"), m.If(self.commands.valid):
                m.next = "weights"
                if p.experts:
                    with m.If(command.expert != 0):
                        m.next = "queue"
                with m.If(~mine):
                    m.next = "skip"
            if p.experts:
                self._queue(m, command)
            weights = (command.weight_units, command.weight_words)
            constants = (command.constant_units, command.constant_words)
            self._section(m, "weights", *weights, settle, "constants")
            self._section(m, "constants", *constants, settle, "give")
            with m.State("give"):
                m.d.comb += [self.o.valid.eq(self.retired.ready), self.retired.valid.eq(self.o.ready)]
                m.d.comb += leave.eq(self.o.ready & self.retired.ready)
                with m.If(leave):
                    m.next = "next"
            with m.State("skip"):
                m.d.comb += [self.retired.valid.eq(1), self.retired.payload.eq(1)]
                m.d.comb += leave.eq(self.retired.ready)
                with m.If(leave):
                    m.next = "next"
            with m.State("next"):
                m.next = "take"
        m.d.comb += self.commands.ready.eq(leave)
        self._give(m, command, number)
        with m.If(leave):
            m.d.sync += number.eq(number + 1)
            for name, (units, _) in (("weights", weights), ("constants", constants)):
                offset = getattr(self, f"{name}_offset")
                m.d.sync += offset.eq(offset + units)
        return m

    def _queue(self, m: Module, command: Any) -> None:
        """Wait for the routing before the first command of the first expert, then look the queue up."""
        m.d.comb += self.expert.eq((command.expert - 1)[: len(self.expert)])
        with m.State("queue"):
            routed = (self.drained_commands > command.depends_on) & ~self.routing
            with m.If(~command.gather | routed):
                m.next = "look"
        with m.State("look"):
            m.next = "size"
        with m.State("size"):
            m.next = "weights"
            with m.If(self.tiles == 0):
                m.next = "skip"

    def _section(
        self, m: Module, name: str, units: Value, words: Value, settle: Signal, following: str
    ) -> None:
        """Open the command's section of a stream, if it has one."""
        opened, given = getattr(self, f"{name}_open"), getattr(self, f"{name}_segment")
        m.d.comb += [
            getattr(self, f"{name}_units").eq(units),
            given.payload.words.eq(words),
            given.payload.units.eq(units),
        ]
        with m.State(name):
            ready: Value = getattr(self, f"{name}_spent") & (settle == 0)
            with m.If(units == 0):
                m.next = following
            with m.Elif(ready & given.ready):
                m.d.comb += [opened.eq(1), given.valid.eq(1)]
                m.d.sync += settle.eq(SETTLE)
                m.next = following

    def _give(self, m: Module, command: Any, number: Signal) -> None:
        """The command, on the rows of its queue if it is an expert's."""
        given = Signal(COMMAND)
        m.d.comb += given.eq(command)
        if self._parameters.experts:
            with m.If(command.expert != 0):
                m.d.comb += [given.tiles.eq(self.tiles), given.tail_rows.eq(self.tail_rows)]
        m.d.comb += [self.o.payload.command.eq(given), self.o.payload.number.eq(number)]
