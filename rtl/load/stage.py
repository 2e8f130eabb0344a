# SPDX-License-Identifier: Apache-2.0
"""LOAD: makes the operand tiles, a group of words a cycle, as far ahead as there are tile slots."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Depends, Load
from hlsgen.machine.format.interface import TRACE_PORTS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import FIXED, MEMORY, scale_wait
from hlsgen.rtl.arith.multiplier import MultiplierPlan
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.experts import QueueRead, QueueReadPorts
from hlsgen.rtl.format.jobs import (
    CONTEXT_FIELDS,
    NORM_FIELDS,
    load_config,
    load_job,
    load_tag,
    trace_signature,
)
from hlsgen.rtl.format.ports import ScaleWrite, ScaleWritePorts
from hlsgen.rtl.format.widths import group_lanes, memory_bits, score_words, slot_words, tile_groups
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.layer_norm import LayerNormLoad
from hlsgen.rtl.load.patches import PatchesLoad
from hlsgen.rtl.load.row_unit import RowUnit
from hlsgen.rtl.load.walk import RowWalk
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, delay_in_memory, words_of
from hlsgen.rtl.parts.pipeline import address_bits, delay, register, without_reset


class _RowLane(NamedTuple):
    """The pipelines of one row of every group."""

    norm: LayerNormLoad
    exp: ExpLoad
    unit: RowUnit


class LoadStage(wiring.Component):
    """Takes jobs, waits for what they depend on and for a tile slot, and fills the slot.

    A group is `row_width` rows; W below is that number. Row r of a tile is row r % W of group r // W.

    Rows, exp and patches share a pipeline of one latency, so that their words never collide; layer norm
    and pooling have another one. A job that changes the pipeline or its configuration waits until the
    tiles before it are complete.

    Parameters
    ----------
    parameters
        The machine's shape.
    plan
        Multiplier styles; the array's tells when DRAIN reads a context tile's first scale.
    block
        Exp tables lie in memory blocks: see `Table`. Words and tags wait in LUT memory.
    trace
        Show the words written.

    Members
    -------
    jobs : In(stream)
    pixels : In(stream of words)
    drained_commands, drained_tiles : In
    scores_drained, slot_freed : In(1)
        A score tile has drained; MULTIPLY has read a slot's last step.
    feature_address, residual_address, score_address : Out
    features, residual, scores : In
        Data `MEMORY` cycles after the address.
    maxima : In(2*R x signed logit)
        Row maxima of both score tiles.
    queue : Out(QueueRead)
        See `RowWalk`; only in machines with experts.
    table : In(TableWrite)
        The exp table.
    tile_write : Out(W)
        Which rows of the group are written.
    tile_lane, tile_address, tile_data : Out
        The group's number, the word within the slots, the rows' words.
    tile_done : Out(1)
        The oldest unfinished tile is complete.
    scale : Out(ScaleWrite)
    trace : Out(trace_signature)

    Latency
    -------
    A plain word is in its slot 9 cycles after its job was accepted.

    Throughput
    ----------
    A group's words a cycle, across jobs; patches one word a cycle.
    """

    jobs: stream.Interface
    pixels: stream.Interface
    drained_commands: Signal
    drained_tiles: Signal
    scores_drained: Signal
    slot_freed: Signal
    feature_address: Signal
    residual_address: Signal
    score_address: Signal
    features: Any
    residual: Any
    scores: Any
    maxima: Any
    table: TableWritePorts
    tile_write: Signal
    tile_lane: Signal
    tile_address: Signal
    tile_data: Signal
    tile_done: Signal
    scale: ScaleWritePorts
    queue: QueueReadPorts
    trace: Any

    def __init__(
        self,
        parameters: MachineParameters,
        plan: MultiplierPlan,
        *,
        block: bool = False,
        trace: bool = False,
    ) -> None:
        self._parameters, self._plan, self._trace = parameters, plan, trace
        self._block, self._delay = block, delay_in_memory if block else delay
        p, self._tag, lanes = parameters, load_tag(parameters, trace), group_lanes(parameters)
        members: dict[str, Any] = {
            "jobs": In(stream.Signature(load_job(p, trace))),
            "pixels": In(stream.Signature(8 * p.columns)),
            "drained_commands": In(p.command_count_bits),
            "drained_tiles": In(field(p, "tiles")),
            "scores_drained": In(1),
            "slot_freed": In(1),
            "feature_address": Out(memory_bits(p)),
            "residual_address": Out(memory_bits(p)),
            "score_address": Out(address_bits(score_words(p))),
            "features": In(words_of(8, lanes)),
            "residual": In(words_of(16, lanes)),
            "scores": In(words_of(p.logit_bits, lanes)),
            "maxima": In(data.ArrayLayout(signed(p.logit_bits), 2 * p.rows)),
            "table": In(TableWrite(1 << p.logit_bits)),
            "tile_write": Out(p.row_width),
            "tile_lane": Out(self._tag.members["lane"]),
            "tile_address": Out(self._tag.members["word"]),
            "tile_data": Out(8 * lanes),
            "tile_done": Out(1),
            "scale": Out(ScaleWrite(p)),
        }
        if p.experts:
            members["queue"] = Out(QueueRead(p))
        if trace:
            members["trace"] = Out(trace_signature(p))
        super().__init__(members)
        without_reset(self, "tile_data")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.walk = walk = RowWalk(p, trace=self._trace)
        m.submodules.patches = patches = PatchesLoad(p, trace=self._trace)
        lanes = [self._row_lane(m, index) for index in range(p.row_width)]
        config = Signal(load_config(p), reset_less=True)
        wiring.connect(m, wiring.flipped(self.pixels), patches.pixels)
        if p.experts:
            wiring.connect(m, walk.queue, wiring.flipped(self.queue))
        self._accept(m, walk, patches, config, lanes)
        self._read(m, walk.request)
        tags = [walk.request.tag]
        for index in range(FIXED):
            tags.append(register(m, tags[-1], name=f"tag_{index + 1}"))
        self._connect_exp(m, walk.request, lanes, tags)
        self._connect_norm(m, walk.request, lanes, tags[MEMORY])
        for lane in lanes:
            unit = lane.unit
            m.d.comb += [getattr(unit, name).eq(getattr(config, name)) for name in unit.config_names]
            m.d.comb += lane.norm.config.eq(config)
        self._write(m, walk.request, patches, lanes, tags[-1])
        return m

    def _row_lane(self, m: Module, index: int) -> _RowLane:
        """The pipelines of one row of every group; they run in step."""
        p, plan = self._parameters, self._plan
        lane = _RowLane(
            LayerNormLoad(p, plan, pools=index == 0 and p.pools, memory=self._block, trace=self._trace),
            ExpLoad(p, block=self._block),
            RowUnit(variance_style=plan.row, combine_style=plan.combine, interpolate_style=plan.interpolate),
        )
        for name in ("norm", "exp", "unit"):
            m.submodules[f"{name}_{index}"] = getattr(lane, name)
        return lane

    # -- jobs --------------------------------------------------------------------------------------------

    def _accept(
        self, m: Module, walk: RowWalk, patches: PatchesLoad, config: Any, lanes: list[_RowLane]
    ) -> None:
        """Start the waiting job as soon as everything it needs is there."""
        p, job = self._parameters, self.jobs.payload
        pool, pool_norm = Signal(), Signal()
        is_pool, is_pool_norm = job.load == Load.POOL, job.load == Load.POOL_NORM
        ready, start, free = Signal(), Signal(), Signal(range(p.tile_slots + 1), init=p.tile_slots)
        under_way = Signal(range(p.tile_slots + 1))
        m.d.comb += [
            start.eq(ready & ~patches.busy & (~walk.busy | walk.finishing)),
            self.jobs.ready.eq(start),
        ]
        usable = self._depended(m, job, start) & (free != 0)
        compatible = self._compatible(m, job, start, config, pool) | (under_way == 0)
        m.d.sync += [
            ready.eq(self.jobs.valid & ~start & usable & compatible),
            free.eq(free + self.slot_freed - start),
            under_way.eq(under_way + start - self.tile_done),
        ]
        slot = Signal(range(p.tile_slots))
        with m.If(start):
            m.d.sync += slot.eq(Mux(slot == p.tile_slots - 1, 0, slot + 1))
            m.d.sync += [pool.eq(is_pool | is_pool_norm), pool_norm.eq(is_pool_norm)]
        for lane in lanes:
            m.d.comb += [lane.norm.pool.eq(pool), lane.norm.pool_norm.eq(pool_norm)]
        slot_word = Array(
            [C(index * slot_words(p), walk.slot_word.shape()) for index in range(p.tile_slots)]
        )[slot]
        is_patches = job.load == Load.PATCHES
        m.d.comb += patches.offered.eq(self.jobs.valid & is_patches)
        for unit, starts in ((walk, start & ~is_patches), (patches, start & is_patches)):
            m.d.comb += [unit.start.eq(starts), unit.job.eq(job), unit.slot_word.eq(slot_word)]

    def _depended(self, m: Module, job: Any, start: Value) -> Value:
        """What the job reads has drained."""
        score_tiles = Signal(2)
        is_context = job.kind == Kind.CONTEXT
        m.d.sync += score_tiles.eq(score_tiles + self.scores_drained - (start & is_context))
        past = self.drained_commands > job.depends_on
        tile = (self.drained_commands == job.depends_on) & (self.drained_tiles > job.tile)
        drained = (job.depends == Depends.NONE) | past | ((job.depends == Depends.TILE) & tile)
        return Mux(is_context, score_tiles != 0, drained)

    def _compatible(self, m: Module, job: Any, start: Value, config: Any, pool: Value) -> Value:
        """The job may follow the one before without a gap: same pipeline, same configuration."""
        is_norm = job.load == Load.LAYER_NORM
        is_pool = (job.load == Load.POOL) | (job.load == Load.POOL_NORM)
        is_context = job.kind == Kind.CONTEXT
        was_norm = Signal()
        same = {name: getattr(job, name) == getattr(config, name) for name in NORM_FIELDS + CONTEXT_FIELDS}
        with m.If(start):
            m.d.sync += was_norm.eq(is_norm | is_pool)
            with m.If(is_norm | is_pool):
                m.d.sync += [getattr(config, name).eq(getattr(job, name)) for name in NORM_FIELDS]
            with m.If(is_context):
                m.d.sync += [getattr(config, name).eq(getattr(job, name)) for name in CONTEXT_FIELDS]
        norm_same = was_norm & ~pool & Cat(same[name] for name in NORM_FIELDS).all()
        context_same = Cat(same[name] for name in CONTEXT_FIELDS).all()
        return Mux(is_norm | is_pool, norm_same & ~is_pool, ~was_norm & (context_same | ~is_context))

    # -- data --------------------------------------------------------------------------------------------

    def _read(self, m: Module, request: Any) -> None:
        m.d.comb += [
            self.feature_address.eq(request.address),
            self.residual_address.eq(request.address),
            self.score_address.eq(request.score_address),
        ]

    def _connect_exp(self, m: Module, request: Any, lanes: list[_RowLane], tags: list[Any]) -> None:
        """Scores and their rows' maxima; the denominators' way to the scales."""
        p, asked, found = self._parameters, tags[1], tags[MEMORY]
        groups = tile_groups(p)
        group = Mux(asked.slot, asked.lane + groups, asked.lane)
        flags = {
            "bank": delay(m, request.bank, MEMORY, name="bank"),
            "mask": delay(m, request.mask, MEMORY, name="mask"),
            "valid": delay(m, request.scores, MEMORY, name="scores_valid"),
            "first": found.row_first,
            "last": found.row_last,
        }
        for index, lane in enumerate(lanes):
            exp, unit = lane.exp, lane.unit
            maxima = Array([self.maxima[entry * p.row_width + index] for entry in range(2 * groups)])
            wiring.connect(m, wiring.flipped(self.table), exp.table)
            m.d.comb += [getattr(exp, name).eq(value) for name, value in flags.items()]
            m.d.comb += [
                exp.maximum.eq(register(m, maxima[group], name=f"maximum_{index}")),
                unit.context_start.eq(exp.denominator_valid),
                unit.denominator.eq(exp.denominator),
                self.scale.multiplier[index].eq(unit.multiplier),
                self.scale.shift[index].eq(unit.shift),
            ]
            m.d.comb += [exp.logits[c].eq(self.scores[index * p.columns + c]) for c in range(p.columns)]
        exp, unit = lanes[0].exp, lanes[0].unit
        later = exp.denominator_latency - exp.latency + unit.context_latency
        place = self._delay(m, Cat(tags[-1].slot, tags[-1].lane), later, name="place")
        m.d.comb += [
            self.scale.valid.eq(unit.context_valid),
            self.scale.slot.eq(place[0]),
            self.scale.row.eq(place[1:]),
        ]

    def _connect_norm(self, m: Module, request: Any, lanes: list[_RowLane], tag: Any) -> None:
        """Residual words to the layer norms, their sums to the row units and back."""
        columns = self._parameters.columns
        names = ("inner_first", "inner_last", "pool_rows")
        flags = {name: delay(m, getattr(request, name), MEMORY, name=name) for name in names}
        valid = delay(m, request.residual, MEMORY, name="residual_valid")
        for index, (norm, _, unit) in enumerate(lanes):
            m.d.comb += [getattr(norm, name).eq(value) for name, value in flags.items()]
            m.d.comb += [
                norm.valid.eq(valid),
                norm.pool_words.eq(self.residual),
                norm.tag.eq(tag),
                unit.norm_start.eq(norm.norm_start),
                unit.sum.eq(norm.sum),
                unit.squares.eq(norm.squares),
                norm.norm_valid.eq(unit.norm_valid),
                norm.multiplier.eq(unit.multiplier),
                norm.shift.eq(unit.shift),
            ]
            m.d.comb += [norm.word[c].eq(self.residual[index * columns + c]) for c in range(columns)]

    def _write(self, m: Module, request: Any, patches: PatchesLoad, lanes: list[_RowLane], tag: Any) -> None:
        """The write ports of the tile slots, one for each row of a group, and the trace of them."""
        features = self._delay(m, self.features, FIXED - MEMORY, name="row")
        fixed = FIXED
        is_row = delay(m, request.features, fixed, name="row_valid")
        is_exp = delay(m, request.scores, fixed, name="exp_valid")
        late = fixed - patches.latency
        is_patch = delay(m, patches.valid, late, name="patch_valid")
        patch = delay(m, patches.word, late, name="patch")
        patch_tag = delay(m, patches.tag, late, name="patch_tag")
        norm = lanes[0].norm
        written, chosen, next_tag = Signal(), Signal(self._tag, reset_less=True), Signal(self._tag)
        word = Signal(8 * group_lanes(self._parameters))
        with m.If(norm.o_valid):
            m.d.comb += [word.eq(Cat(lane.norm.o_word for lane in lanes)), next_tag.eq(norm.o_tag)]
        with m.Elif(is_patch):
            m.d.comb += [word.eq(patch.as_value().replicate(len(lanes))), next_tag.eq(patch_tag)]
        with m.Else():
            exp = Cat(lane.exp.word for lane in lanes)
            m.d.comb += [word.eq(Mux(is_exp, exp, features)), next_tag.eq(tag)]
        valid = is_row | is_exp | is_patch | norm.o_valid
        rows = next_tag.rows if len(lanes) > 1 else C(1, 1)
        m.d.sync += [
            written.eq(valid),
            self.tile_write.eq(Mux(valid, rows, 0)),
            self.tile_data.eq(word),
            chosen.eq(next_tag),
        ]
        m.d.comb += [self.tile_lane.eq(chosen.lane), self.tile_address.eq(chosen.word)]
        was_norm = register(m, norm.o_valid, name="was_norm")
        ended = written & chosen.tile_last
        late = scale_wait(self._parameters, self._plan.array)
        fixed_done = delay(m, ended & ~was_norm, late, name="fixed_done")
        m.d.comb += self.tile_done.eq((ended & was_norm) | fixed_done)
        if self._trace:
            self._show(m, chosen, register(m, is_exp, name="was_exp"))

    def _show(self, m: Module, tag: Any, is_exp: Value) -> None:
        shown = self.trace
        m.d.comb += shown.valid.eq(self.tile_write)
        for name in TRACE_PORTS:
            m.d.comb += getattr(shown, name).eq(getattr(tag, f"trace_{name}"))
        for lane in range(group_lanes(self._parameters)):
            byte = self.tile_data[8 * lane : 8 * lane + 8]
            extended = Mux(is_exp, byte, byte.as_signed())
            m.d.comb += shown.data[16 * lane : 16 * lane + 16].eq(extended)
