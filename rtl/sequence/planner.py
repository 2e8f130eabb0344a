# SPDX-License-Identifier: Apache-2.0
"""Decides which commands run, and opens the sections of the Image that they read."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import SETTLE
from hlsgen.rtl.format.command import COMMAND, COMMAND_BITS
from hlsgen.rtl.format.experts import QueueSize, QueueSizePorts
from hlsgen.rtl.format.ports import Planned, PlannedPorts


def planned_command() -> data.StructLayout:
    """A command that runs, and its number in the program."""
    return data.StructLayout({"command": COMMAND_BITS, "number": 16})


# A command with both sections, then the next one; `settle` counts down from SETTLE after each opening:
#
#   cycle                0     1        2 3 4 5    6          7     8     9     10       11
#   state                take  weights  constants  constants  give  next  take  weights  weights
#   settle               0     0        4 3 2 1    0          4     3     2     1        0
#   weights.open               1                                                         1
#   constants.open                                 1
#   o.valid, retired                                          1
#
# Without a section its state takes one cycle. An expert's command looks its queue up between take and
# weights: queue (until the routing is complete), look, size.


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
    queue : Out(QueueSize)
        `routing` and `queue` only in machines with experts.
    o : Out(stream of planned_command)
    retired : Out(stream(1))
        For every command in order: whether it was skipped.
    weights, constants : Out(Planned)

    Latency
    -------
    About 6 cycles a command.
    """

    commands: stream.Interface
    task: Signal
    routing: Signal
    drained_commands: Signal
    queue: QueueSizePorts
    o: stream.Interface
    retired: stream.Interface
    weights: PlannedPorts
    constants: PlannedPorts

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        members: dict[str, Any] = {
            "commands": In(stream.Signature(COMMAND_BITS)),
            "task": In(4),
            "drained_commands": In(16),
            "o": Out(stream.Signature(planned_command())),
            "retired": Out(stream.Signature(1)),
            "weights": Out(Planned()),
            "constants": Out(Planned()),
        }
        if p.experts:
            members |= {"routing": In(1), "queue": Out(QueueSize(p))}
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        command = data.View(COMMAND, self.commands.payload[: COMMAND.size])
        number, settle, leave = Signal(16), Signal(range(SETTLE + 1)), Signal()
        mine = (command.tasks == 0) | Array(command.tasks[bit] for bit in range(16))[self.task]
        with m.If(settle != 0):
            m.d.sync += settle.eq(settle - 1)
        weights = (command.weight_units, command.weight_words)
        constants = (command.constant_units, command.constant_words)
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
            with m.State("weights"):
                self._section(m, self.weights, *weights, settle, "constants")
            with m.State("constants"):
                self._section(m, self.constants, *constants, settle, "give")
            self._leave(m, leave)
        m.d.comb += self.commands.ready.eq(leave)
        self._give(m, command, number)
        with m.If(leave):
            m.d.sync += number.eq(number + 1)
            for planned, (units, _) in ((self.weights, weights), (self.constants, constants)):
                m.d.sync += planned.sections.offset.eq(planned.sections.offset + units)
        return m

    def _leave(self, m: Module, leave: Signal) -> None:
        """States at a command's end: it is given on or skipped, and DRAIN is told which."""
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

    def _queue(self, m: Module, command: Any) -> None:
        """Wait for the routing before the first command of the first expert, then look the queue up."""
        m.d.comb += self.queue.expert.eq((command.expert - 1)[: len(self.queue.expert)])
        with m.State("queue"):
            routed = (self.drained_commands > command.depends_on) & ~self.routing
            with m.If(~command.gather | routed):
                m.next = "look"
        with m.State("look"):
            m.next = "size"
        with m.State("size"):
            m.next = "weights"
            with m.If(self.queue.tiles == 0):
                m.next = "skip"

    @staticmethod
    def _section(
        m: Module, planned: PlannedPorts, units: Value, words: Value, settle: Signal, following: str
    ) -> None:
        """Open the command's section of a stream, if it has one, in this state."""
        sections, segments = planned.sections, planned.segments
        m.d.comb += [
            sections.units.eq(units),
            segments.payload.words.eq(words),
            segments.payload.units.eq(units),
        ]
        with m.If(units == 0):
            m.next = following
        with m.Elif(sections.spent & (settle == 0) & segments.ready):
            m.d.comb += [sections.open.eq(1), segments.valid.eq(1)]
            m.d.sync += settle.eq(SETTLE)
            m.next = following

    def _give(self, m: Module, command: Any, number: Signal) -> None:
        """The command, on the rows of its queue if it is an expert's."""
        given = Signal(COMMAND)
        m.d.comb += given.eq(command)
        if self._parameters.experts:
            with m.If(command.expert != 0):
                m.d.comb += [given.tiles.eq(self.queue.tiles), given.tail_rows.eq(self.queue.tail_rows)]
        m.d.comb += [self.o.payload.command.eq(given), self.o.payload.number.eq(number)]
