# SPDX-License-Identifier: Apache-2.0
"""LOAD: makes the operand tiles, a group of words a cycle, as far ahead as there are tile slots."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Depends, Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import FIXED, MEMORY, scale_wait
from hlsgen.rtl.arith.multiplier import MultiplierPlan
from hlsgen.rtl.format.experts import QueueRead, QueueReadPorts
from hlsgen.rtl.format.jobs import (
    CONTEXT_FIELDS,
    NORM_FIELDS,
    load_config,
    load_job,
    load_tag,
    present,
    show,
    trace_signature,
)
from hlsgen.rtl.format.ports import ScaleWrite, ScaleWritePorts
from hlsgen.rtl.format.rows import Drained, DrainedPorts, RowRead, RowReadPorts, TileWrite, TileWritePorts
from hlsgen.rtl.format.widths import (
    group_lanes,
    memory_bits,
    score_words,
    slot_entry,
    slot_words,
    tile_groups,
)
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.layer_norm import LayerNormLoad
from hlsgen.rtl.load.normalise import connect_shifts, shift_write_port
from hlsgen.rtl.load.patches import PatchesLoad
from hlsgen.rtl.load.ports import Operand
from hlsgen.rtl.load.row_unit import ROW_CONFIG, RowUnit
from hlsgen.rtl.load.runs import chosen, list_port
from hlsgen.rtl.load.walk import RowWalk
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, delay_in_memory, words_of
from hlsgen.rtl.parts.pipeline import address_bits, delay, moved, register, without_reset


class _RowLane(NamedTuple):
    """The pipelines of one row of every group."""

    norm: LayerNormLoad
    exp: ExpLoad
    unit: RowUnit


# A tile of one row of two words, of eight columns or more:
#
#   cycle           0      1  2  3  4  5  8  9  10  17  18
#   jobs            taken
#   walk asks              0  1
#   address                   0  1
#   features.data                   0  1
#   operand                               0  1                 `FIXED` after the address
#   tile                                     0  1              written
#   tile_done                                       1          `scale_wait` after the last write
#   MULTIPLY                                            step
#
# Exps take the same way; so does a patch, of which the last segment is asked for where a word is here. Rows
# of layer norm come `latency.norm` after their last word's data; their tile is done with its last write.
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
    drained : In(Drained)
    slot_freed : In(1)
        MULTIPLY has read a slot's last step.
    features, residual, scores : Out(RowRead)
    maxima : In(S*R x signed logit), of S score tiles
    queue : Out(QueueRead)
        See `RowWalk`; only in machines with experts.
    table, lists, shifts : In(TableWrite)
        The exp table; the memories of run lists and norm shifts, only in machines that have them.
    tile : Out(TileWrite)
    tile_done : Out(1)
        The oldest unfinished tile is complete.
    scale : Out(ScaleWrite), trace : Out(trace_signature)

    Latency
    -------
    A plain word is in its slot 9 cycles after its job was accepted.

    Throughput
    ----------
    A group's words a cycle, across jobs; patches one word a cycle.
    """

    jobs: stream.Interface
    pixels: stream.Interface
    drained: DrainedPorts
    slot_freed: Signal
    features: RowReadPorts
    residual: RowReadPorts
    scores: RowReadPorts
    maxima: Any
    table: TableWritePorts
    lists: TableWritePorts
    shifts: TableWritePorts
    tile: TileWritePorts
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
            "drained": In(Drained(p)),
            "slot_freed": In(1),
            "features": Out(RowRead(memory_bits(p), words_of(8, lanes))),
            "residual": Out(RowRead(memory_bits(p), words_of(16, lanes))),
            "scores": Out(RowRead(address_bits(score_words(p)), words_of(p.logit_bits, lanes))),
            "maxima": In(data.ArrayLayout(signed(p.logit_bits), p.score_slots * p.rows)),
            "table": In(TableWrite(p.numerator_digits << p.logit_bits)),
            "tile": Out(TileWrite(p)),
            "tile_done": Out(1),
            "scale": Out(ScaleWrite(p)),
            **list_port(p),
            **shift_write_port(p),
        }
        if p.experts:
            members["queue"] = Out(QueueRead(p))
        if trace:
            members["trace"] = Out(trace_signature(p))
        super().__init__(members)
        without_reset(self.tile, "data")

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
        if p.list_words:
            wiring.connect(m, wiring.flipped(self.lists), walk.lists)
        self._accept(m, walk, patches, config, lanes)
        self._read(m, walk.request)
        tags = [walk.request.tag]
        for index in range(FIXED):
            tags.append(register(m, tags[-1], name=f"tag_{index + 1}"))
        self._connect_exp(m, walk.request, lanes, tags)
        if p.numerator_digits > 1:
            high = delay(m, walk.request.high, MEMORY, name="high")
            m.d.comb += [lane.exp.scores.high.eq(high) for lane in lanes]
        if p.score_addends:
            m.d.comb += [lane.exp.scores.hides.eq(config.score_addends) for lane in lanes]
        self._connect_norm(m, walk.request, lanes, tags[MEMORY])
        for norm, _, unit in lanes:
            m.d.comb += [unit.config[name].eq(config[name]) for name in ROW_CONFIG.members]
            m.d.comb += norm.config.eq(config)
        connect_shifts(m, p, self, config, [lane.norm for lane in lanes])
        self._write(m, self._operands(m, walk.request, patches, lanes, tags[-1]))
        return m

    def _row_lane(self, m: Module, index: int) -> _RowLane:
        """The pipelines of one row of every group; they run in step."""
        p, plan = self._parameters, self._plan
        lane = _RowLane(
            LayerNormLoad(p, plan, pools=index == 0 and p.pools, memory=self._block, trace=self._trace),
            ExpLoad(p, block=self._block),
            RowUnit(variance_style=plan.row, combine_style=plan.combine, interpolate_style=plan.interpolate),
        )
        for name, part in zip(("norm", "exp", "unit"), lane, strict=True):
            m.submodules[f"{name}_{index}"] = part
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
            free.eq(moved(free, self.slot_freed, start)),
            under_way.eq(moved(under_way, start, self.tile_done)),
        ]
        slot = Signal(range(p.tile_slots))
        with m.If(start):
            m.d.sync += slot.eq(Mux(slot == p.tile_slots - 1, 0, slot + 1))
            m.d.sync += [pool.eq(is_pool | is_pool_norm), pool_norm.eq(is_pool_norm)]
        for lane in lanes:
            m.d.comb += [lane.norm.column.pools.eq(pool), lane.norm.column.to_norm.eq(pool_norm)]
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
        m.d.sync += score_tiles.eq(moved(score_tiles, self.drained.scores, start & is_context))
        past = self.drained.commands > job.depends_on
        tile = (self.drained.commands == job.depends_on) & (self.drained.tiles > job.tile)
        drained = (job.depends == Depends.NONE) | past | ((job.depends == Depends.TILE) & tile)
        return Mux(is_context, score_tiles != 0, drained)

    def _compatible(self, m: Module, job: Any, start: Value, config: Any, pool: Value) -> Value:
        """The job may follow the one before without a gap: same pipeline, same configuration."""
        is_norm = job.load == Load.LAYER_NORM
        is_pool = (job.load == Load.POOL) | (job.load == Load.POOL_NORM)
        is_context = job.kind == Kind.CONTEXT
        was_norm = Signal()
        norms, contexts = (present(self._parameters, names) for names in (NORM_FIELDS, CONTEXT_FIELDS))
        same = {name: job[name] == config[name] for name in norms + contexts}
        with m.If(start):
            m.d.sync += was_norm.eq(is_norm | is_pool)
            with m.If(is_norm | is_pool):
                m.d.sync += [config[name].eq(job[name]) for name in norms]
            with m.If(is_context):
                m.d.sync += [config[name].eq(job[name]) for name in contexts]
        norm_same = was_norm & ~pool & Cat(same[name] for name in norms).all()
        context_same = Cat(same[name] for name in contexts).all()
        return Mux(is_norm | is_pool, norm_same & ~is_pool, ~was_norm & (context_same | ~is_context))

    # -- data --------------------------------------------------------------------------------------------

    def _read(self, m: Module, request: Any) -> None:
        m.d.comb += [
            self.features.address.eq(request.address),
            self.residual.address.eq(request.address),
            self.scores.address.eq(request.score_address),
        ]

    def _connect_exp(self, m: Module, request: Any, lanes: list[_RowLane], tags: list[Any]) -> None:
        """Scores and their rows' maxima; the denominators' way to the scales."""
        p, asked, found = self._parameters, tags[1], tags[MEMORY]
        entries, group = p.score_slots * tile_groups(p), slot_entry(p, asked.slot, asked.lane)
        bank, mask = (delay(m, request[name], MEMORY, name=name) for name in ("bank", "mask"))
        valid = delay(m, request.scores, MEMORY, name="scores_valid")
        for index, (_, exp, unit) in enumerate(lanes):
            scores = exp.scores
            maxima = Array([self.maxima[entry * p.row_width + index] for entry in range(entries)])
            wiring.connect(m, wiring.flipped(self.table), exp.table)
            wiring.connect(m, exp.row, unit.context)
            m.d.comb += [
                scores.bank.eq(bank),
                scores.mask.eq(mask),
                scores.valid.eq(valid),
                scores.first.eq(found.row_first),
                scores.last.eq(found.row_last),
                scores.maximum.eq(register(m, maxima[group], name=f"maximum_{index}")),
                self.scale.multiplier[index].eq(unit.multiplier),
                self.scale.shift[index].eq(unit.shift),
            ]
            words = self.scores.data
            m.d.comb += [scores.logits[c].eq(words[index * p.columns + c]) for c in range(p.columns)]
        exp, unit = lanes[0].exp, lanes[0].unit
        later = exp.denominator_latency - exp.latency + unit.context_latency
        place = self._delay(m, Cat(tags[-1].slot, tags[-1].lane), later, name="place")
        m.d.comb += [
            self.scale.valid.eq(unit.context_valid),
            Cat(self.scale.slot, self.scale.row).eq(place),
        ]

    def _connect_norm(self, m: Module, request: Any, lanes: list[_RowLane], tag: Any) -> None:
        """Residual words to the layer norms, their sums to the row units and back."""
        columns = self._parameters.columns
        first = delay(m, request.inner_first, MEMORY, name="inner_first")
        last = delay(m, request.inner_last, MEMORY, name="inner_last")
        rows = delay(m, request.pool_rows, MEMORY, name="pool_rows")
        valid = delay(m, request.residual, MEMORY, name="residual_valid")
        words = chosen(m, self._parameters, request, self.residual.data, "residual")
        for index, (norm, _, unit) in enumerate(lanes):
            wiring.connect(m, norm.row, unit.norm)
            m.d.comb += [
                norm.i.valid.eq(valid),
                norm.i.tag.eq(tag),
                norm.column.first.eq(first),
                norm.column.last.eq(last),
                norm.column.rows.eq(rows),
                norm.column.words.eq(words),
            ]
            m.d.comb += [norm.i.word[c].eq(words[index * columns + c]) for c in range(columns)]

    def _operands(
        self, m: Module, request: Any, patches: PatchesLoad, lanes: list[_RowLane], tag: Any
    ) -> list[Operand]:
        """What the units give for a group: exps, rows and patches as late as the latest of them, then norms.

        `tag` is the requested words', so late.
        """
        row, exp, late = FIXED - MEMORY, FIXED - MEMORY - ExpLoad.latency, FIXED - PatchesLoad.latency
        exps, norm, patch = Cat(lane.exp.word for lane in lanes), lanes[0].norm.o, patches.o
        found = chosen(m, self._parameters, request, self.features.data, "feature")
        valid, word = lanes[0].exp.valid, delay(m, patch.word, late, name="patch")
        return [
            Operand(delay(m, valid, exp, name="exp_valid"), delay(m, exps, exp, name="exp"), tag),
            Operand(
                delay(m, request.features, FIXED, name="row_valid"),
                self._delay(m, found, row, name="row"),
                tag,
            ),
            Operand(
                delay(m, patch.valid, late, name="patch_valid"),
                word.as_value().replicate(len(lanes)),
                delay(m, patch.tag, late, name="patch_tag"),
            ),
            Operand(norm.valid, Cat(lane.norm.o.word for lane in lanes), norm.tag),
        ]

    def _write(self, m: Module, operands: list[Operand]) -> None:
        """The write ports of the tile slots, one for each row of a group, and the trace of them."""
        exp, row, patch, norm = operands
        written, chosen, next_tag = Signal(), Signal(self._tag, reset_less=True), Signal(self._tag)
        word = Signal(8 * group_lanes(self._parameters))
        with m.If(norm.valid):
            m.d.comb += [word.eq(norm.word), next_tag.eq(norm.tag)]
        with m.Elif(patch.valid):
            m.d.comb += [word.eq(patch.word), next_tag.eq(patch.tag)]
        with m.Else():
            m.d.comb += [word.eq(Mux(exp.valid, exp.word, row.word)), next_tag.eq(row.tag)]
        valid = exp.valid | row.valid | patch.valid | norm.valid
        rows = next_tag.rows if self._parameters.row_width > 1 else C(1, 1)
        m.d.sync += [
            written.eq(valid),
            self.tile.rows.eq(Mux(valid, rows, 0)),
            self.tile.data.eq(word),
            chosen.eq(next_tag),
        ]
        m.d.comb += [self.tile.lane.eq(chosen.lane), self.tile.address.eq(chosen.word)]
        was_norm = register(m, norm.valid, name="was_norm")
        ended = written & chosen.tile_last
        late = scale_wait(self._parameters, self._plan.array)
        fixed_done = delay(m, ended & ~was_norm, late, name="fixed_done")
        m.d.comb += self.tile_done.eq((ended & was_norm) | fixed_done)
        if self._trace:
            self._show(m, chosen, register(m, exp.valid, name="was_exp"))

    def _show(self, m: Module, tag: Any, is_exp: Value) -> None:
        shown = self.trace
        m.d.comb += [shown.valid.eq(self.tile.rows), *show(shown, tag.trace)]
        for lane in range(group_lanes(self._parameters)):
            byte = self.tile.data[8 * lane : 8 * lane + 8]
            extended = Mux(is_exp, byte, byte.as_signed())
            m.d.comb += shown.data[16 * lane : 16 * lane + 16].eq(extended)
