# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY: issues one step a cycle; everything behind it has a fixed latency."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Array, C, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.core.digits import walk_digits
from hlsgen.rtl.core.key_lists import RunWalk, key_run, walk_runs
from hlsgen.rtl.core.taps import walk_taps
from hlsgen.rtl.format.jobs import Stationary, multiply_job
from hlsgen.rtl.format.ports import Heads, HeadsPorts, Reservations, ReservationsPorts
from hlsgen.rtl.format.widths import operand_bits, slot_steps, tile_groups
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, moved, some_left


class _There(NamedTuple):
    """Whether something is there: a register, and its value in the next cycle."""

    now: Signal
    coming: Signal


# A job of one block of three steps, and the next one without a gap; A: `Array.latency`:
#
#   cycle                  0      1     2     3     4
#   jobs                   job 0              job 1
#   issue                         1     1     1     1
#   first                         1                 1
#   last, take_constant                       1
#   ends_pass, slot_freed                     1
#   addends, output        -      0     ok    ok    0      looked at by `last` only
#   weights at the array                      0     1      two cycles after `issue`: OPERANDS_AT
#   constants                                              OPERANDS_AT + A cycles after `last`
#
# `addends` and `output` are computed a cycle ahead and are void in a block's first cycle: a block of one step
# that needs them takes two cycles. The rings themselves tell a cycle ahead what they will have: so a step
# waits for one flag, a block's last step for two.


class MultiplyStage(wiring.Component):
    """Takes jobs and walks over their blocks and steps.

    A block's last step waits until the second accumulator set is free, and until constants, addends and
    output space for the whole block exist: DRAIN never stalls.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    jobs : In(stream)
    tile_done : In(1)
        LOAD has completed a tile.
    drained_commands : In
    weight_coming, constant_coming : In(1)
        In the next cycle the rings have a word that is not reserved.
    reservations : Out(Reservations)
    issue : Out(1)
        A step; the following belong to it.
    first, last : Out(1)
    low : Out(1)
        The first step of an exp's low digit; only in machines whose exps have two.
    kind : Out(2)
    stationary : Out(2)
        Whose word of factors the step takes: a `Stationary`.
    tile_address : Out
    operand_address : Out
        Key step or value word.
    take_weight : Out(1)
    narrow, half, keep_weight : Out(1)
        Weights have 4 bits; the step's are a word's high halves; the next step takes this word, too.
    reserve_weight, reserve_constant : Out(1)
    take_constant : Out(1)
    first_pass, last_pass : Out(1)
        The first, last tile of a sweep.
    weights_first : Out(1)
        A sweep's first tile is there and its weights are being taken as they come.
    ends_pass : Out(1)
        With `issue`: a job's last step.
    runs : In(stream of key_run)
        Only in machines with key lists.
    keys, values : In(Heads)
        Only where attention is streamed.
    slot_freed : Out(1)
    wait_tile, wait_weights, wait_drain, idle : Out(1)
        Why there is no step.
    expert : Out
        Whose job it is, plus 1; 0 for nobody's. Only in machines with experts.

    Latency
    -------
    A job starts the cycle after the one before has ended.

    Throughput
    ----------
    One step a cycle.
    """

    jobs: stream.Interface
    runs: stream.Interface
    tile_done: Signal
    drained_commands: Signal
    weight_coming: Signal
    constant_coming: Signal
    reservations: ReservationsPorts
    issue: Signal
    first: Signal
    last: Signal
    low: Signal
    kind: Signal
    stationary: Signal
    tile_address: Signal
    operand_address: Signal
    take_weight: Signal
    narrow: Signal
    half: Signal
    keep_weight: Signal
    reserve_weight: Signal
    reserve_constant: Signal
    take_constant: Signal
    first_pass: Signal
    last_pass: Signal
    ends_pass: Signal
    weights_first: Signal
    slot_freed: Signal
    wait_tile: Signal
    wait_weights: Signal
    wait_drain: Signal
    idle: Signal
    expert: Signal
    keys: HeadsPorts
    values: HeadsPorts

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = p = parameters
        inputs = ("tile_done", "weight_coming", "constant_coming")
        outputs = ("issue", "first", "last", "take_weight", "reserve_weight", "reserve_constant")
        outputs += ("take_constant", "first_pass", "last_pass", "ends_pass", "weights_first")
        outputs += ("slot_freed", "wait_tile", "wait_weights", "wait_drain", "idle")
        self._begun = Signal(name="begun")
        """A job, its tile, operands and next weights are there."""
        self._closes, self._ends = Signal(name="closes"), Signal(name="ends")
        """A block may end; a step ends one."""
        super().__init__(
            {
                "jobs": In(stream.Signature(multiply_job(p))),
                "drained_commands": In(p.command_count_bits),
                "reservations": Out(Reservations(p)),
                "kind": Out(2),
                "stationary": Out(2),
                "tile_address": Out(address_bits(p.tile_slots * slot_steps(p))),
                "operand_address": Out(operand_bits(p)),
                **{name: In(1) for name in inputs},
                **{name: Out(1) for name in outputs},
                **({"runs": In(stream.Signature(key_run(p)))} if p.key_list_words else {}),
                **({"keys": In(Heads()), "values": In(Heads())} if p.streamed else {}),
                **({"expert": Out(FIELD_BITS["expert"])} if p.experts else {}),
                **(dict.fromkeys(("narrow", "half", "keep_weight"), Out(1)) if p.narrow_weights else {}),
                **({"low": Out(1)} if p.numerator_digits > 1 else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        job, active = Signal(multiply_job(self._parameters), reset_less=True), Signal()
        plain, fresh, load, new = Signal(), Signal(), Signal(), self.jobs.payload
        weighs, weighs_fresh = plain, fresh
        is_ring = is_plain = new.kind == Kind.PLAIN
        # What `jobs` shows is loaded whether it is a job or not: only `active` waits for that.
        m.d.comb += [load.eq(~active | self.ends_pass), self.jobs.ready.eq(load)]
        with m.If(load):
            m.d.sync += [active.eq(self.jobs.valid), job.eq(new)]
            m.d.sync += [plain.eq(is_plain), fresh.eq(is_plain & new.first_pass)]
        if self._parameters.products:
            weighs, weighs_fresh = Signal(), Signal()
            is_ring = _stationary(new) == Stationary.RING
            with m.If(load):
                m.d.sync += [weighs.eq(is_ring), weighs_fresh.eq(is_ring & new.first_pass)]
        constants = self._stream(m, fresh, is_plain, load, self.constant_coming, name="constants")
        opens, opens_next = self._opens(m, job, weighs_fresh)
        weights = self._stream(m, opens_next, is_ring, load, self.weight_coming, name="weights")
        self._count(m, job, load)
        runs = walk_runs(m, self, job, active, load) if self._parameters.key_list_words else None
        self._decide(m, job, active, weighs_fresh, weights, constants, load, runs)
        self._addresses(m, job, load, runs)
        self._tell(m, job, plain, fresh)
        m.d.comb += [
            self.stationary.eq(_stationary(job)),
            self.take_weight.eq(self.issue & weighs),
            self.reserve_weight.eq(self.issue & opens),
        ]
        return m

    def _stream(
        self, m: Module, fresh: Value, takes: Value, load: Value, coming: Signal, *, name: str
    ) -> _There:
        """Whether a ring has the job's next word, or the job needs none from it.

        fresh: the job takes new words; takes: the next job takes words.
        """
        there = _There(Signal(name=f"{name}_there"), Signal(name=f"{name}_next"))
        first = takes & self.jobs.payload.first_pass
        m.d.comb += there.coming.eq(Mux(load, ~first, ~fresh) | coming)
        m.d.sync += there.now.eq(there.coming)
        return there

    def _opens(self, m: Module, job: Any, fresh: Signal) -> tuple[Value, Value]:
        """Whether the step takes a new word, and whether the next one does; `fresh`: the job's are new.

        Two steps may take one word. A block begins with a word of its own.
        """
        if not self._parameters.narrow_weights:
            return fresh, fresh
        following = Signal(name="half_next")
        m.d.comb += [self.narrow.eq(job.narrow), following.eq(Mux(self.issue, self.keep_weight, self.half))]
        m.d.comb += self.keep_weight.eq(job.narrow & ~self.half & ~self.last)
        m.d.sync += self.half.eq(following)
        return fresh & ~self.half, fresh & ~following

    def _count(self, m: Module, job: Any, load: Value) -> None:
        """Steps of the block and blocks of the job that are left; which step is a block's, a job's last."""
        steps, blocks = Signal.like(job.steps, reset_less=True), Signal.like(job.blocks, reset_less=True)
        block_last, new = Signal(reset_less=True), self.jobs.payload
        # `final`: last of the last block, so a block's last; `single`: a block has one step.
        final, single = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += self.ends_pass.eq(self._begun & self._closes & final)
        with m.If(self.issue):
            m.d.sync += [steps.eq(steps - 1), self.first.eq(self.last), self.last.eq(steps == 2)]
            m.d.sync += final.eq((steps == 2) & block_last)
            with m.If(self.last):
                m.d.sync += [
                    steps.eq(job.steps),
                    self.last.eq(single),
                    blocks.eq(blocks - 1),
                    block_last.eq(blocks == 2),
                    final.eq(single & (blocks == 2)),
                ]
        with m.If(load):
            m.d.sync += [
                steps.eq(new.steps),
                blocks.eq(new.blocks),
                self.first.eq(1),
                self.last.eq(new.steps == 1),
                block_last.eq(new.blocks == 1),
                final.eq((new.steps == 1) & (new.blocks == 1)),
                single.eq(new.steps == 1),
            ]

    def _tell(self, m: Module, job: Any, plain: Value, fresh: Value) -> None:
        """What a step takes and reserves; `plain`: of constants, `fresh`: for the first time."""
        ends = self._ends
        m.d.comb += [
            self.kind.eq(job.kind),
            self.first_pass.eq(job.first_pass),
            self.last_pass.eq(job.last_pass),
            self.take_constant.eq(ends & plain),
            self.reserve_constant.eq(ends & fresh),
            self.reservations.addends.eq(ends & job.addends),
            self.reservations.output.eq(ends & job.output),
            self.reservations.groups.eq(job.row_groups),
            self.slot_freed.eq(self.ends_pass),
        ]
        if self._parameters.experts:
            m.d.comb += self.expert.eq(job.expert)

    def _decide(
        self,
        m: Module,
        job: Any,
        active: Signal,
        takes: Value,
        weights: _There,
        constants: _There,
        load: Value,
        runs: RunWalk | None,
    ) -> None:
        """Whether there is a step this cycle, and if not, why.

        `takes`: the job's weights are new.
        """
        p, new = self._parameters, self.jobs.payload
        tiles, tile, tile_next = Signal(range(p.tile_slots + 1)), Signal(), Signal()
        operands, operands_next = Signal(), Signal()
        m.d.comb += [
            tile_next.eq(some_left(tiles, self.tile_done, self.slot_freed)),
            operands_next.eq(Mux(load, ~new.waits, operands | self._operands_there(m, job))),
        ]
        m.d.sync += tiles.eq(moved(tiles, self.tile_done, self.slot_freed))
        m.d.sync += [tile.eq(tile_next), operands.eq(operands_next)]
        free, addends, output = self._block_may_end(m, job, constants, load)
        # All that a step waits for, beside a block's end.
        active_next = Mux(load, self.jobs.valid, active)
        begins, there = active_next & tile_next & operands_next & weights.coming, operands
        if runs:
            begins, there = begins & runs.there_next, operands & runs.there
        m.d.sync += self._begun.eq(begins)
        m.d.sync += self.weights_first.eq(active & tile & takes)
        streams = weights.now & (~self.last | (constants.now & addends))
        drain = there & (~self.last | (free & output))
        m.d.comb += [
            self.issue.eq(self._begun & (~self.last | self._closes)),
            self._ends.eq(self._begun & self.last & self._closes),
            self.idle.eq(~active),
            self.wait_tile.eq(active & ~tile),
            self.wait_weights.eq(active & tile & ~streams),
            self.wait_drain.eq(active & tile & streams & ~drain),
        ]

    def _block_may_end(
        self, m: Module, job: Any, constants: _There, load: Value
    ) -> tuple[Signal, Signal, Signal]:
        """Whether DRAIN is free and addends and output space are there for a block's end.

        Computed a cycle ahead: void in the cycle after a block has ended, since then the counts are stale.
        What the job does not need is there. `_closes`: these three and the constants are there.
        """
        gap, new = Signal(count_bits(tile_groups(self._parameters))), self.jobs.payload
        names = ("free", "addends", "output")
        coming = [Signal(name=f"{name}_next") for name in names]
        free, addends, output = flags = [Signal(name=name, init=name == "free") for name in names]
        ends = self._ends
        m.d.comb += [
            coming[0].eq(Mux(ends, job.row_groups == 1, free | (gap == 1))),
            coming[1].eq(~job.addends | (~ends & (self.reservations.level >= job.row_groups))),
            coming[2].eq(~job.output | (~ends & self.reservations.space)),
        ]
        with m.If(load):
            m.d.comb += [coming[1].eq(~new.addends), coming[2].eq(~new.output)]
        with m.If(ends):
            m.d.sync += gap.eq(job.row_groups - 1)
        with m.Elif(~free):
            m.d.sync += gap.eq(gap - 1)
        m.d.sync += [flag.eq(value) for flag, value in zip(flags, coming, strict=True)]
        m.d.sync += self._closes.eq(Cat(*coming, constants.coming).all())
        return free, addends, output

    def _operands_there(self, m: Module, job: Any) -> Value:
        """Whether the keys or values that the job reads are in the machine."""
        if not self._parameters.streamed:
            return self.drained_commands > job.operand_depends_on
        found = []
        for name, heads, kind in (
            ("keys", self.keys, Kind.SCORES),
            ("values", self.values, Kind.CONTEXT),
        ):
            there = Signal(2, name=f"{name}_there")
            m.d.comb += heads.freed.eq(self.ends_pass & job.closes & (job.kind == kind))
            m.d.sync += there.eq(there + heads.filled - heads.freed)
            found.append(there != 0)
        return Mux(job.kind == Kind.SCORES, *found)

    def _addresses(self, m: Module, job: Any, load: Value, runs: RunWalk | None) -> None:
        """Tile steps from the slot's start in every block; key or value addresses by running sums."""
        p = self._parameters
        slot = Signal(range(p.tile_slots))
        slot_next = Signal.like(slot)
        starts = Array([C(index * slot_steps(p), self.tile_address.shape()) for index in range(p.tile_slots)])
        block = Signal.like(self.operand_address)
        m.d.comb += slot_next.eq(slot)
        with m.If(self.slot_freed):
            m.d.comb += slot_next.eq(Mux(slot == p.tile_slots - 1, 0, slot + 1))
        m.d.sync += slot.eq(slot_next)
        with m.If(self.issue):
            m.d.sync += [
                self.tile_address.eq(self.tile_address + 1),
                self.operand_address.eq(self.operand_address + job.step_step),
            ]
            with m.If(self.last):
                following = block + job.block_step
                m.d.sync += [
                    self.tile_address.eq(starts[slot_next]),
                    block.eq(following),
                    self.operand_address.eq(following),
                ]
        if p.numerator_digits > 1:
            walk_digits(m, self, job, load, block)
        if p.taps:
            walk_taps(m, self, job, load, starts[slot_next])
        with m.If(load):
            base = self.jobs.payload.base
            m.d.sync += [block.eq(base), self.operand_address.eq(base)]
        if runs:
            with m.If(runs.takes):
                m.d.sync += [block.eq(runs.address), self.operand_address.eq(runs.address)]


def _stationary(job: Any) -> Value:
    """The job's `Stationary`."""
    return job.stationary if "stationary" in job.shape().members else job.kind
