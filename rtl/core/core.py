# SPDX-License-Identifier: Apache-2.0
"""The core: sequencer, three stages, array and memories behind streams."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import queue_depth
from hlsgen.machine.time.latency import STEP
from hlsgen.rtl.arith.multiplier import plan
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.core.constants import ConstantReader, ring_bits
from hlsgen.rtl.core.experts import connect_experts, plan_ahead, plan_members, report_events
from hlsgen.rtl.core.memories import (
    connect_row_memories,
    connect_steps,
    connect_tiles,
    connect_weights,
)
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.core.operand_fill import OperandFill
from hlsgen.rtl.core.weight_ring import weight_ring
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.format.jobs import COMMAND_BITS, group_lanes, output_word, trace_signature
from hlsgen.rtl.format.streams import LENGTH_UNITS, weight_parts
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.parts.pipeline import delay, register
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.sequence.sequencer import Sequencer

JOBS_AHEAD = 8
"""Jobs that wait for a stage."""


def operand_members(p: MachineParameters) -> dict[str, Any]:
    """The core's ports for keys and values in external memory."""
    return {
        "operands": In(stream.Signature(8 * group_lanes(p))),
        "operands_load": Out(1),
        "operands_offset": Out(LENGTH_UNITS),
        "operands_units": Out(LENGTH_UNITS),
        "operands_spent": In(1),
        "stored": In(1),
    }


class Core(wiring.Component):
    """The machine without its outside; it runs from reset to `done`.

    Parameters
    ----------
    parameters
        The machine's shape.
    target
        "generic", or "ecp5" for that family's multiplier blocks.
    trace
        Show every word written.
    near
        The memory is on the chip: weights come in parts, see `weight_parts`.

    Members
    -------
    commands : In(stream of 1024 bits)
    task : In(4), weights_open, ..., constants_segment
        See `Planner`; only where commands may be skipped.
    expert_token, expert_wait : Out(1), expert_token_of, expert_wait_of : Out
        See `ExpertCounters`; only in machines with experts.
    constants : In(stream of `word_bytes(C)` bytes)
    weights : In(stream of C * D bytes, or parts of them)
    addends : In(stream of row_width * C * 16 bits)
    pixels : In(stream of C bytes)
    output : Out(stream of output_word)
    operands, operands_load, operands_offset, operands_units, operands_spent, stored
        Keys and values, see `OperandFill`; only where attention is streamed.
    done : Out(1)
        The last command has drained and its output has left.
    progress : Out(1)
        Something moved.
    weights_first : Out(1)
        MULTIPLY takes weights as they come: they are more urgent than pixels.
    issue, wait_tile, wait_weights, wait_drain, idle : Out(1)
        What MULTIPLY does; one of them is 1 until `done`.
    trace_tile, trace_drain : Out(trace_signature)
        Only with `trace`.

    Latency
    -------
    About 50 cycles from a command's first operand word to its first result.

    Throughput
    ----------
    One step of the array a cycle.
    """

    commands: stream.Interface
    constants: stream.Interface
    weights: stream.Interface
    addends: stream.Interface
    pixels: stream.Interface
    output: stream.Interface
    operands: stream.Interface
    operands_load: Signal
    operands_offset: Signal
    operands_units: Signal
    operands_spent: Signal
    stored: Signal
    done: Signal
    progress: Signal
    weights_first: Signal
    issue: Signal
    wait_tile: Signal
    wait_weights: Signal
    wait_drain: Signal
    idle: Signal
    task: Signal
    weights_open: Signal
    weights_offset: Signal
    weights_units: Signal
    weights_spent: Signal
    constants_open: Signal
    constants_offset: Signal
    constants_units: Signal
    constants_spent: Signal
    expert_token: Signal
    expert_token_of: Signal
    expert_wait: Signal
    expert_wait_of: Signal
    trace_tile: Any
    trace_drain: Any

    def __init__(
        self,
        parameters: MachineParameters,
        *,
        target: str = "generic",
        trace: bool = False,
        near: bool = False,
    ) -> None:
        p = self._parameters = parameters
        self._plan, self._trace = plan(parameters, target), trace
        self._blocks, self._near = target == "ecp5", near
        members: dict[str, Any] = {
            "commands": In(stream.Signature(COMMAND_BITS)),
            "constants": In(stream.Signature(8 * word_bytes(p.columns))),
            "weights": In(stream.Signature(8 * p.columns * p.depth // weight_parts(p, near))),
            "addends": In(stream.Signature(16 * group_lanes(p))),
            "pixels": In(stream.Signature(8 * p.columns)),
            "output": Out(stream.Signature(output_word(p))),
        }
        if p.streamed:
            members |= operand_members(p)
        if p.planned:
            members |= plan_members(p)
        flags = ("done", "progress", "weights_first")
        flags += ("issue", "wait_tile", "wait_weights", "wait_drain", "idle")
        members |= {name: Out(1) for name in flags}
        if trace:
            members |= {"trace_tile": Out(trace_signature(p)), "trace_drain": Out(trace_signature(p))}
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.array = array = Array(p, style=self._plan.array)
        m.submodules.sequencer = sequencer = Sequencer(p, trace=self._trace)
        m.submodules.load = load = LoadStage(p, self._plan, block=self._blocks, trace=self._trace)
        m.submodules.multiply = multiply = MultiplyStage(p, addend_depth=queue_depth(p))
        m.submodules.drain = drain = DrainStage(
            p, style=self._plan.requantize, block=self._blocks, trace=self._trace
        )
        m.submodules.weight_ring = ring = weight_ring(p, short=self._blocks, near=self._near)
        m.submodules.constant_ring = constant_ring = Ring(
            ring_bits(p.columns), p.constant_words, block=self._blocks
        )
        m.submodules.constant_reader = reader = ConstantReader(p.columns, p.logit_bits)
        self._connect_jobs(m, sequencer, load, multiply, drain)
        if p.planned:
            planner = plan_ahead(m, self, p, sequencer, drain, ring, reader)
            if p.experts:
                report_events(m, self, connect_experts(m, p, planner, load, drain, reader), multiply)
        else:
            wiring.connect(m, wiring.flipped(self.commands), sequencer.commands)
            wiring.connect(m, wiring.flipped(self.constants), reader.words)
            wiring.connect(m, wiring.flipped(self.weights), ring.words)
        self._connect_streams(m, load, drain, constant_ring, reader)
        self._connect_tables(m, load, drain, reader)
        connect_row_memories(m, p, load, drain)
        written = self._fill(m, sequencer, multiply, drain) if p.streamed else drain
        connect_tiles(m, p, load, multiply, array, block=self._blocks)
        connect_weights(m, p, multiply, written, array, ring, block=self._blocks)
        connect_steps(m, multiply, array)
        m.d.comb += [drain.captured.eq(array.captured), drain.held.eq(array.held)]
        self._connect_rings(m, multiply, drain, array, ring, constant_ring)
        self._status(m, load, multiply, drain)
        if self._trace:
            m.d.comb += [
                Cat(*self._fields(mine)).eq(Cat(*self._fields(theirs)))
                for mine, theirs in ((self.trace_tile, load.trace), (self.trace_drain, drain.trace))
            ]
        return m

    def _fields(self, shown: Any) -> list[Value]:
        return [getattr(shown, name) for name in trace_signature(self._parameters).members]

    @staticmethod
    def _connect_jobs(
        m: Module, sequencer: Sequencer, load: LoadStage, multiply: MultiplyStage, drain: DrainStage
    ) -> None:
        """Jobs wait in queues; the stages tell one another what they have finished."""
        for name, stage in (("load", load), ("multiply", multiply), ("drain", drain)):
            source = getattr(sequencer, name)
            queue = Queue(source.payload.shape(), JOBS_AHEAD)
            m.submodules[f"{name}_jobs"] = queue
            wiring.connect(m, source, queue.i)
            wiring.connect(m, queue.o, stage.jobs)
        m.d.comb += [
            load.drained_commands.eq(drain.drained_commands),
            load.drained_tiles.eq(drain.drained_tiles),
            load.scores_drained.eq(drain.scores_drained),
            load.slot_freed.eq(multiply.slot_freed),
            multiply.tile_done.eq(load.tile_done),
            multiply.drained_commands.eq(drain.operand_commands),
            multiply.addends.eq(drain.addend_level),
            multiply.output_space.eq(drain.output_space),
            drain.reserve_addends.eq(multiply.reserve_addends),
            drain.reserve_output.eq(multiply.reserve_output),
            drain.reserved.eq(multiply.reserved),
            load.maxima.eq(drain.maxima),
        ]
        for name in ("write", "slot", "row", "multiplier", "shift"):
            m.d.comb += getattr(drain, f"scale_{name}").eq(getattr(load, f"scale_{name}"))

    def _connect_streams(
        self,
        m: Module,
        load: LoadStage,
        drain: DrainStage,
        constant_ring: Ring,
        reader: ConstantReader,
    ) -> None:
        wiring.connect(m, wiring.flipped(self.addends), drain.addends)
        wiring.connect(m, wiring.flipped(self.pixels), load.pixels)
        wiring.connect(m, drain.output, wiring.flipped(self.output))
        m.d.comb += [
            constant_ring.words.payload.eq(reader.constants.payload),
            constant_ring.words.valid.eq(reader.constants.valid),
            reader.constants.ready.eq(constant_ring.words.ready),
        ]

    @staticmethod
    def _connect_tables(m: Module, load: LoadStage, drain: DrainStage, reader: ConstantReader) -> None:
        m.d.comb += [
            reader.drained_commands.eq(drain.operand_commands),
            load.table_write.eq(reader.exp_write),
            load.table_address.eq(reader.exp_address),
            load.table_data.eq(reader.table_data),
            drain.table_write.eq(reader.activation_write),
            drain.table_address.eq(reader.activation_address),
            drain.table_data.eq(reader.table_data),
        ]

    def _fill(
        self, m: Module, sequencer: Sequencer, multiply: MultiplyStage, drain: DrainStage
    ) -> OperandFill:
        """Keys and values come back from external memory."""
        m.submodules.operand_fill = fill = OperandFill(self._parameters)
        wiring.connect(m, sequencer.fill, fill.jobs)
        wiring.connect(m, wiring.flipped(self.operands), fill.words)
        m.d.comb += [
            fill.drained_commands.eq(drain.operand_commands),
            fill.stored.eq(self.stored & drain.output_left),
            fill.spent.eq(self.operands_spent),
            self.operands_load.eq(fill.open_load),
            self.operands_offset.eq(fill.open_offset),
            self.operands_units.eq(fill.open_units),
        ]
        for name in ("keys", "values"):
            m.d.comb += [
                getattr(multiply, f"{name}_filled").eq(getattr(fill, f"{name}_filled")),
                getattr(fill, f"{name}_freed").eq(getattr(multiply, f"{name}_freed")),
            ]
        return fill

    @staticmethod
    def _connect_rings(
        m: Module, multiply: MultiplyStage, drain: DrainStage, array: Array, ring: Ring, constants: Ring
    ) -> None:
        """Weights are read as a step is issued, constants when the block is captured."""
        rewind = multiply.ends_pass & ~multiply.last_pass
        commit = multiply.ends_pass & multiply.last_pass
        controls = Cat(multiply.take_constant, multiply.last_pass, rewind, commit)
        later = delay(m, controls, STEP + array.latency, name="constant")
        m.d.comb += [
            multiply.weight_available.eq(ring.available),
            multiply.constant_available.eq(constants.available),
            ring.take.eq(multiply.take_weight),
            ring.reserve.eq(multiply.reserve_weight),
            ring.release.eq(multiply.last_pass),
            ring.rewind.eq(rewind),
            ring.commit.eq(commit),
            constants.reserve.eq(multiply.reserve_constant),
            Cat(constants.take, constants.release, constants.rewind, constants.commit).eq(later),
            drain.constants.eq(constants.data),
        ]

    def _status(self, m: Module, load: LoadStage, multiply: MultiplyStage, drain: DrainStage) -> None:
        running = ~drain.done
        m.d.comb += [
            self.done.eq(drain.done),
            self.weights_first.eq(multiply.weights_first),
            self.issue.eq(multiply.issue),
            self.wait_tile.eq(multiply.wait_tile),
            self.wait_weights.eq(multiply.wait_weights),
            self.wait_drain.eq(multiply.wait_drain),
            self.idle.eq(multiply.idle & running),
        ]
        ports = (self.commands, self.constants, self.weights, self.addends, self.pixels, self.output)
        moved = [port.valid & port.ready for port in ports]
        moves = register(m, Cat(multiply.issue, load.tile_write, *moved), name="moves")
        m.d.sync += self.progress.eq(moves.any())
