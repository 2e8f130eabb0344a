# SPDX-License-Identifier: Apache-2.0
"""Keys that each tile has of its own: the memory of key lists, and the runs of one job after another."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.runs import COUNT_BITS, PLACE_BITS, RUN_BYTES, WORD_BYTES
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import MEMORY
from hlsgen.rtl.format.jobs import key_job
from hlsgen.rtl.format.widths import key_list_bits, key_list_entries, key_steps, operand_bits
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, WordMemory
from hlsgen.rtl.parts.pipeline import delay, moved, without_reset
from hlsgen.rtl.parts.queues import Queue

AHEAD = 8
"""Runs that are on their way to MULTIPLY, or wait: more than the way's cycles."""


def key_run(p: MachineParameters) -> data.StructLayout:
    """A run for MULTIPLY: the first key step's or value word's address; blocks, or steps, behind the first.

    final: the job's last.
    """
    return data.StructLayout({"address": operand_bits(p), "more": COUNT_BITS, "final": 1})


# A job of scores whose tile has three runs:
#
#   cycle        0     1      2      3      4      5      6      7
#   jobs.valid   1
#   active             1      1      1
#   asks               run 0  run 1  run 2
#   read_data                        run 0  run 1  run 2
#   queue.i                                 run 0  run 1  run 2
#   o                                                     run 0  run 1
class KeyReader(wiring.Component):
    """Reads the runs of each job's tile: once for scores, once for each word of a head for contexts.

    It is ahead of MULTIPLY, as far as runs have room; a command's first job waits for its keys and values.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    write : In(TableWrite)
        Words of the memory, a run each.
    jobs : In(stream of key_job)
    drained_commands : In
    o : Out(stream of key_run)

    Latency
    -------
    6 cycles from a job to its first run.

    Throughput
    ----------
    A run a cycle, 2 cycles more between jobs.
    """

    write: TableWritePorts
    jobs: stream.Interface
    drained_commands: Signal
    o: stream.Interface

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = p = parameters
        super().__init__(
            {
                "write": In(TableWrite(key_list_entries(p))),
                "jobs": In(stream.Signature(key_job(p))),
                "drained_commands": In(p.command_count_bits),
                "o": Out(stream.Signature(key_run(p))),
            }
        )
        without_reset(self.o, "payload")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.memory = memory = WordMemory(8 * WORD_BYTES, p.key_list_words)
        m.submodules.queue = queue = Queue(key_run(p), AHEAD)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        room, asks, last = Signal(range(AHEAD + 1), init=AHEAD), Signal(), Signal()
        word, tag = self._walk(m, asks, room != 0, last)
        m.d.comb += [
            memory.read_address[0].eq(word),
            memory.write.eq(self.write.valid),
            memory.write_address.eq(self.write.address),
            memory.write_data.eq(self.write.data),
        ]
        m.d.sync += room.eq(moved(room, queue.o.valid & queue.o.ready, asks))
        coming = [Signal(name=f"coming_{index + 1}") for index in range(MEMORY + 1)]
        for stage, before in zip(coming, [asks, *coming[:-1]], strict=True):
            m.d.sync += stage.eq(before)
        offset, context, final = tag
        later = delay(m, Cat(offset, context, final), MEMORY, name="tag")
        offset, context, final = later[: len(offset)], later[-2], later[-1]
        run = memory.read_data[0].word_select(context, 8 * RUN_BYTES)
        words = (run[:PLACE_BITS] + offset)[: PLACE_BITS + 1]
        found = queue.i.payload
        registers = Signal(key_run(p), name="found", reset_less=True)
        m.d.sync += [
            registers.address.eq(Mux(context, words, key_steps(p, words))),
            registers.more.eq(run[PLACE_BITS : PLACE_BITS + COUNT_BITS]),
            registers.final.eq(final),
        ]
        m.d.comb += [queue.i.valid.eq(coming[-1]), found.eq(registers)]
        return m

    def _walk(
        self, m: Module, asks: Signal, room: Value, last: Signal
    ) -> tuple[Signal, tuple[Value, Value, Value]]:
        """The word that is read, and its run's offset, whether it is of contexts, and the job's last."""
        p, new = self._parameters, self.jobs.payload
        job, active, goes = Signal(key_job(p), name="job", reset_less=True), Signal(), Signal()
        word, start = Signal(key_list_bits(p)), Signal(key_list_bits(p))
        runs, passes = Signal.like(job.runs, reset_less=True), Signal.like(job.passes, reset_less=True)
        offset = Signal.like(job.base, reset_less=True)
        kept = Array(Signal(key_list_bits(p), name=f"kept_{index}") for index in range(2))
        """The first word of the next tile's runs, of scores and of contexts."""
        first = Mux(new.first, new.list, kept[new.context])
        m.d.comb += [
            self.jobs.ready.eq(~active),
            asks.eq(active & goes & room),
            last.eq((runs == 1) & (passes == 1)),
        ]
        with m.If(self.drained_commands > job.operand_depends_on):
            m.d.sync += goes.eq(1)
        with m.If(asks):
            m.d.sync += [word.eq(word + 1), runs.eq(runs - 1), active.eq(~last)]
            with m.If(runs == 1):
                m.d.sync += [word.eq(start), runs.eq(job.runs)]
                m.d.sync += [passes.eq(passes - 1), offset.eq(offset + 1)]
        with m.If(~active):
            m.d.sync += [job.eq(new), active.eq(self.jobs.valid), goes.eq(~new.waits)]
            m.d.sync += [word.eq(first), start.eq(first), runs.eq(new.runs)]
            m.d.sync += [passes.eq(new.passes), offset.eq(new.base)]
            with m.If(self.jobs.valid):
                m.d.sync += kept[new.context].eq(first + new.runs)
        return word, (offset, job.context, last)


class RunWalk:
    """Registers of MULTIPLY: the run that it is in, of jobs that have any.

    there: its address has come. takes: a run is taken from the reader in this cycle. ends: the run ends.
    """

    def __init__(self, runs: stream.Interface) -> None:
        self._runs, self.there = runs, Signal(name="run_there")
        self._left = Signal(COUNT_BITS, name="run_left", reset_less=True)
        self._last, self._final = Signal(name="run_last"), Signal(name="run_final")
        self.takes, self.there_next = Signal(name="takes_run"), Signal(name="run_there_next")
        self.address = runs.payload.address

    def walk(self, m: Module, listed: Value, job: Value, load: Value, steps: Value) -> None:
        """To the next block, or step, with `steps`.

        listed: the job that is loaded has runs; job: the one that is there has.
        """
        wants, ends = Signal(name="wants_run"), Signal(name="run_ends")
        run = self._runs.payload
        m.d.comb += [
            ends.eq(job & steps & self._last),
            wants.eq(Mux(load, listed, job & (~self.there | (ends & ~self._final)))),
            self.takes.eq(wants & self._runs.valid),
            self._runs.ready.eq(wants),
            self.there_next.eq(Mux(wants, self._runs.valid, Mux(load, 1, self.there))),
        ]
        m.d.sync += self.there.eq(self.there_next)
        with m.If(steps):
            m.d.sync += [self._left.eq(self._left - 1), self._last.eq(self._left == 1)]
        with m.If(self.takes):
            m.d.sync += [self._left.eq(run.more), self._last.eq(run.more == 0), self._final.eq(run.final)]


def walk_runs(m: Module, stage: Any, job: Any, active: Value, load: Value) -> RunWalk:
    """The runs of the tile's keys: a run of scores goes on by blocks, one of contexts by steps."""
    runs, new = RunWalk(stage.runs), stage.jobs.payload
    steps = stage.issue & (stage.last | (job.kind == Kind.CONTEXT))
    runs.walk(m, stage.jobs.valid & new.listed, active & job.listed, load, steps)
    return runs
