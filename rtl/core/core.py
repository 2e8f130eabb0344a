# SPDX-License-Identifier: Apache-2.0
"""The core: sequencer, three stages, array and memories behind streams."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.multipliers import find_target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import JOBS_AHEAD
from hlsgen.machine.time.latency import STEP
from hlsgen.rtl.arith.multiplier import plan
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.core.constants import ConstantReader, constant_reader, ring_bits
from hlsgen.rtl.core.key_lists import KeyReader
from hlsgen.rtl.core.memories import (
    connect_row_memories,
    connect_steps,
    connect_tiles,
    connect_weights,
)
from hlsgen.rtl.core.mixture import connect_experts, plan_ahead, plan_members, report_events
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.core.operand_fill import OperandFill
from hlsgen.rtl.core.weight_ring import weight_ring
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.format.command import COMMAND_BITS
from hlsgen.rtl.format.experts import ExpertEventsPorts
from hlsgen.rtl.format.jobs import key_job, output_word, trace_signature
from hlsgen.rtl.format.ports import LEVELS, OperandWritePorts, Sections, SectionsPorts
from hlsgen.rtl.format.streams import weight_parts
from hlsgen.rtl.format.widths import group_lanes, shift_entries
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.parts.pipeline import delay, register
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.sequence.sequencer import Sequencer


def operand_members(p: MachineParameters) -> dict[str, Any]:
    """The core's ports for keys and values in external memory."""
    return {
        "operands": In(stream.Signature(8 * group_lanes(p))),
        "operands_sections": Out(Sections()),
        "stored": In(1),
    }


class Core(wiring.Component):
    """The machine without its outside; it runs from reset to `done`.

    Parameters
    ----------
    parameters
        The machine's shape.
    target
        The kind of device, a key of `hlsgen.machine.format.multipliers.TARGETS`.
    trace
        Show every word written.
    near
        The memory is on the chip: weights come in parts, see `weight_parts`.

    Members
    -------
    commands : In(stream of 1024 bits)
    task : In(4), weights_sections, constants_sections : Out(Sections)
        See `Planner`; only where commands may be skipped.
    events : Out(ExpertEvents)
        Only in machines with experts.
    constants : In(stream of `word_bytes(C)` bytes)
    weights : In(stream of C * D bytes, or parts of them)
    addends : In(stream of row_width * C * 16 bits)
    pixels : In(stream of C bytes)
    output : Out(stream of output_word)
    operands : In(stream of row_width * C bytes), operands_sections : Out(Sections), stored : In(1)
        Keys and values, see `OperandFill`; only where attention is streamed.
    done : Out(1)
        The last command has drained and its output has left.
    progress : Out(1)
        Something moved.
    weights_first : Out(1)
        MULTIPLY takes weights as they come: they are more urgent than pixels.
    levels : Out(LEVELS)
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
    operands_sections: SectionsPorts
    stored: Signal
    done: Signal
    progress: Signal
    weights_first: Signal
    levels: Any
    task: Signal
    weights_sections: SectionsPorts
    constants_sections: SectionsPorts
    events: ExpertEventsPorts
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
        self._blocks, self._near = find_target(target).block_rams, near
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
        members |= {name: Out(1) for name in ("done", "progress", "weights_first")}
        members["levels"] = Out(LEVELS)
        if trace:
            members |= {"trace_tile": Out(trace_signature(p)), "trace_drain": Out(trace_signature(p))}
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.array = array = Array(p, style=self._plan.array)
        m.submodules.sequencer = sequencer = Sequencer(p, trace=self._trace)
        m.submodules.load = load = LoadStage(p, self._plan, block=self._blocks, trace=self._trace)
        m.submodules.multiply = multiply = MultiplyStage(p)
        m.submodules.drain = drain = DrainStage(
            p,
            style=self._plan.requantize,
            gate_style=self._plan.gate,
            block=self._blocks,
            trace=self._trace,
        )
        m.submodules.weight_ring = ring = weight_ring(p, short=self._blocks, near=self._near)
        m.submodules.constant_ring = constant_ring = Ring(
            ring_bits(p.columns), p.constant_words, block=self._blocks
        )
        m.submodules.constant_reader = reader = constant_reader(p)
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
        self._connect_keys(m, sequencer, multiply, drain, reader)
        connect_row_memories(m, p, load, drain)
        written = self._fill(m, sequencer, multiply, drain) if p.streamed else drain.operands
        connect_tiles(m, p, load, multiply, array, block=self._blocks)
        connect_weights(m, p, multiply, written, array, ring, block=self._blocks)
        connect_steps(m, multiply, array, p.numerator_digits)
        m.d.comb += [drain.captured.eq(array.captured), drain.held.eq(array.held)]
        self._connect_rings(m, multiply, drain, array, ring, constant_ring)
        self._status(m, load, multiply, drain)
        return m

    @staticmethod
    def _connect_jobs(
        m: Module, sequencer: Sequencer, load: LoadStage, multiply: MultiplyStage, drain: DrainStage
    ) -> None:
        """Jobs wait in queues; the stages tell one another what they have finished.

        DRAIN must have a captured block's job, so its queue gives one a cycle; the others' jobs are longer.
        """
        for name, jobs, stage, apart in (
            ("load", sequencer.load, load, True),
            ("multiply", sequencer.multiply, multiply, True),
            ("drain", sequencer.drain, drain, False),
        ):
            queue = Queue(jobs.payload.shape(), JOBS_AHEAD, apart=apart)
            m.submodules[f"{name}_jobs"] = queue
            wiring.connect(m, jobs, queue.i)
            wiring.connect(m, queue.o, stage.jobs)
        wiring.connect(m, multiply.reservations, drain.reservations)
        wiring.connect(m, load.scale, drain.scale)
        wiring.connect(m, drain.drained, load.drained)
        m.d.comb += [
            load.slot_freed.eq(multiply.slot_freed),
            multiply.tile_done.eq(load.tile_done),
            multiply.drained_commands.eq(drain.operand_commands),
            load.maxima.eq(drain.maxima),
        ]

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

    def _connect_tables(self, m: Module, load: LoadStage, drain: DrainStage, reader: ConstantReader) -> None:
        m.d.comb += reader.drained_commands.eq(drain.operand_commands)
        wiring.connect(m, reader.exp, load.table)
        wiring.connect(m, reader.activation, drain.table)
        if self._parameters.list_words:
            wiring.connect(m, reader.lists, load.lists)
        if shift_entries(self._parameters):
            wiring.connect(m, reader.shifts, load.shifts)

    def _connect_keys(
        self,
        m: Module,
        sequencer: Sequencer,
        multiply: MultiplyStage,
        drain: DrainStage,
        reader: ConstantReader,
    ) -> None:
        """Tiles have keys of their own: their runs wait for MULTIPLY."""
        p = self._parameters
        if not p.key_list_words:
            return
        m.submodules.key_reader = keys = KeyReader(p)
        m.submodules.key_jobs = queue = Queue(key_job(p), JOBS_AHEAD, apart=True)
        wiring.connect(m, reader.key_lists, keys.write)
        wiring.connect(m, sequencer.keys, queue.i)
        wiring.connect(m, queue.o, keys.jobs)
        wiring.connect(m, keys.o, multiply.runs)
        m.d.comb += keys.drained_commands.eq(drain.operand_commands)

    def _fill(
        self, m: Module, sequencer: Sequencer, multiply: MultiplyStage, drain: DrainStage
    ) -> OperandWritePorts:
        """Keys and values come back from external memory."""
        m.submodules.operand_fill = fill = OperandFill(self._parameters)
        wiring.connect(m, sequencer.fill, fill.jobs)
        wiring.connect(m, wiring.flipped(self.operands), fill.words)
        wiring.connect(m, fill.sections, wiring.flipped(self.operands_sections))
        wiring.connect(m, fill.keys, multiply.keys)
        wiring.connect(m, fill.values, multiply.values)
        m.d.comb += [
            fill.drained_commands.eq(drain.operand_commands),
            fill.stored.eq(self.stored & drain.output_left),
        ]
        return fill.write

    def _connect_rings(
        self, m: Module, multiply: MultiplyStage, drain: DrainStage, array: Array, ring: Ring, constants: Ring
    ) -> None:
        """Weights are read as a step is issued, constants when the block is captured."""
        rewind = multiply.ends_pass & ~multiply.last_pass
        commit = multiply.ends_pass & multiply.last_pass
        controls = Cat(multiply.take_constant, multiply.last_pass, rewind, commit)
        later = delay(m, controls, STEP + array.latency, name="constant")
        m.d.comb += [
            multiply.weight_coming.eq(ring.coming),
            multiply.constant_coming.eq(constants.coming),
            ring.take.eq(multiply.take_weight),
            ring.reserve.eq(multiply.reserve_weight),
            ring.release.eq(multiply.last_pass),
            ring.rewind.eq(rewind),
            ring.commit.eq(commit),
            constants.reserve.eq(multiply.reserve_constant),
            Cat(constants.take, constants.release, constants.rewind, constants.commit).eq(later),
            drain.constants.eq(constants.data),
        ]
        if self._parameters.narrow_weights:
            m.d.comb += ring.stay.eq(multiply.keep_weight)

    def _status(self, m: Module, load: LoadStage, multiply: MultiplyStage, drain: DrainStage) -> None:
        """What the outside is told: the end, the counters' levels, progress, the trace."""
        running = ~drain.done
        m.d.comb += [
            self.done.eq(drain.done),
            self.levels.issue.eq(multiply.issue),
            self.levels.wait_tile.eq(multiply.wait_tile),
            self.levels.wait_weights.eq(multiply.wait_weights),
            self.levels.wait_drain.eq(multiply.wait_drain),
            self.levels.idle.eq(multiply.idle & running),
        ]
        m.d.sync += self.weights_first.eq(multiply.weights_first)  # far from the bus, and never urgent
        ports = (self.commands, self.constants, self.weights, self.addends, self.pixels, self.output)
        moved = [port.valid & port.ready for port in ports]
        moves = register(m, Cat(multiply.issue, load.tile.rows, *moved), name="moves")
        m.d.sync += self.progress.eq(moves.any())
        if self._trace:
            wiring.connect(m, load.trace, wiring.flipped(self.trace_tile))
            wiring.connect(m, drain.trace, wiring.flipped(self.trace_drain))
