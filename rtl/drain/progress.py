# SPDX-License-Identifier: Apache-2.0
"""How far DRAIN is: what LOAD and MULTIPLY may read, and whether everything is done."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import LOAD_LEAD, OPERAND_LEAD
from hlsgen.rtl.format.command import field
from hlsgen.rtl.parts.pipeline import delay


# A command's last row is written in cycle 3 and can be read from cycle 4 on:
#
#   cycle              0        1        2       3        4
#   end_command        its tag
#   drained_commands            counted
#   LOAD                        sees it  starts  asks     address
#   row memories                                 write    read
#   operand_commands                             counted
#   MULTIPLY                                     sees it  step
class DrainProgress(wiring.Component):
    """Counts commands and tiles, as early as a reader's way to the memory allows.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    end_tile, end_command : In(1)
        A tile's, a command's last row is written `latency.LOAD_LEAD` cycles later.
    end_program : In(1)
        The last command's last row is being written.
    output_left : In(1)
        Every result that leaves has left.
    retired : In(stream(1))
        For each command in order whether it was skipped; only where commands may be.
    drained_commands, drained_tiles : Out
        For LOAD, see `Drained`.
    operand_commands : Out
        Drained commands for MULTIPLY and the tables.
    done : Out(1)

    Latency
    -------
    `latency.DRAINED` to `drained_commands` and `drained_tiles`.

    Throughput
    ----------
    One event a cycle.
    """

    end_tile: Signal
    end_command: Signal
    end_program: Signal
    output_left: Signal
    retired: stream.Interface
    drained_commands: Signal
    drained_tiles: Signal
    operand_commands: Signal
    done: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                **{name: In(1) for name in ("end_tile", "end_command", "end_program", "output_left")},
                **({"retired": In(stream.Signature(1))} if p.planned else {}),
                "drained_commands": Out(p.command_count_bits),
                "drained_tiles": Out(field(p, "tiles")),
                "operand_commands": Out(p.command_count_bits),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        with m.If(self.end_tile):
            m.d.sync += self.drained_tiles.eq(self.drained_tiles + 1)
        with m.If(self.end_command):
            m.d.sync += self.drained_tiles.eq(0)
        with m.If(self._retires(m)):
            m.d.sync += self.drained_commands.eq(self.drained_commands + 1)
        operand = delay(m, self.drained_commands, LOAD_LEAD - OPERAND_LEAD, name="operand")
        m.d.comb += self.operand_commands.eq(operand)
        ended = Signal()
        with m.If(self.end_program):
            m.d.sync += ended.eq(1)
        m.d.sync += self.done.eq(ended & self.output_left)
        return m

    def _retires(self, m: Module) -> Value:
        """Whether one more command of the program is over: drained, or skipped after those before it."""
        ends = self.end_command
        if not self._parameters.planned:
            return ends
        waiting, over = Signal(4), Signal()
        skipped = self.retired.payload
        m.d.comb += [
            over.eq(self.retired.valid & (skipped | ends | (waiting != 0))),
            self.retired.ready.eq(over),
        ]
        m.d.sync += waiting.eq(waiting + ends - (over & ~skipped))
        return over
