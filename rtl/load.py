"""LOAD: makes the operand tiles, one word a cycle, as far ahead as there are tile slots."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.commands import Depends, Load
from hlsgen.machine.parameters import MachineParameters
from hlsgen.rtl.jobs import (
    CONTEXT_FIELDS,
    NORM_FIELDS,
    Kind,
    load_config,
    load_job,
    load_tag,
    memory_bits,
    slot_words,
    trace_signature,
)
from hlsgen.rtl.load_exp import ExpLoad
from hlsgen.rtl.load_layer_norm import LayerNormLoad
from hlsgen.rtl.load_patches import PatchesLoad
from hlsgen.rtl.load_row_unit import RowUnit
from hlsgen.rtl.load_walk import RowWalk
from hlsgen.rtl.memories import words_of
from hlsgen.rtl.multiplier import MultiplierPlan
from hlsgen.rtl.pipeline import address_bits, delay, register, without_reset

READ_LATENCY = 2
"""Cycles from an address to a memory's data."""


class LoadStage(wiring.Component):
    """Takes jobs, waits for what they depend on and for a tile slot, and fills the slot.

    Rows, exp and patches share a pipeline of one latency, so that their words never collide; layer norm
    and pooling have another one. A job that changes the pipeline or its configuration waits until the
    tiles before it are complete.

    Parameters
    ----------
    parameters
        The machine's shape.
    plan
        Multiplier styles.
    slack
        Cycles from `tile_done` to DRAIN's first read of a context row's scale.
    trace
        Show the words written.

    Members
    -------
    jobs : In(stream)
    pixels : In(stream of words)
    drained_commands, drained_tiles : In(16)
    scores_drained, slot_freed : In(1)
        A score tile has drained; MULTIPLY has read a slot's last step.
    feature_address, residual_address, score_address : Out
    features, residual, scores : In
        Data `READ_LATENCY` cycles after the address.
    maxima : In(2*R x signed logit)
        Row maxima of both score tiles.
    table_write, table_address, table_data : In
        The exp table.
    tile_write, tile_lane, tile_address, tile_data : Out
    tile_done : Out(1)
        The oldest unfinished tile is complete.
    scale_write, scale_slot, scale_row, scale_multiplier, scale_shift : Out
        A context row's multiplier and shift.
    trace : Out(trace_signature)

    Latency
    -------
    A plain word is in its slot 9 cycles after its job was accepted.

    Throughput
    ----------
    One word a cycle, across jobs.
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
    table_write: Signal
    table_address: Signal
    table_data: Signal
    tile_write: Signal
    tile_lane: Signal
    tile_address: Signal
    tile_data: Signal
    tile_done: Signal
    scale_write: Signal
    scale_slot: Signal
    scale_row: Signal
    scale_multiplier: Signal
    scale_shift: Signal
    trace: Any

    def __init__(
        self, parameters: MachineParameters, plan: MultiplierPlan, *, slack: int, trace: bool = False
    ) -> None:
        self._parameters, self._plan, self._slack, self._trace = parameters, plan, slack, trace
        p, self._tag = parameters, load_tag(parameters, trace)
        members: dict[str, Any] = {
            "jobs": In(stream.Signature(load_job(p, trace))),
            "pixels": In(stream.Signature(8 * p.columns)),
            "drained_commands": In(16),
            "drained_tiles": In(16),
            "scores_drained": In(1),
            "slot_freed": In(1),
            "feature_address": Out(memory_bits(p)),
            "residual_address": Out(memory_bits(p)),
            "score_address": Out(address_bits(2 * p.rows * p.score_words)),
            "features": In(words_of(8, p.columns)),
            "residual": In(words_of(16, p.columns)),
            "scores": In(words_of(p.logit_bits, p.columns)),
            "maxima": In(data.ArrayLayout(signed(p.logit_bits), 2 * p.rows)),
            "table_write": In(1),
            "table_address": In(p.logit_bits - 2),
            "table_data": In(64),
            "tile_write": Out(1),
            "tile_lane": Out(self._tag.members["lane"]),
            "tile_address": Out(self._tag.members["word"]),
            "tile_data": Out(8 * p.columns),
            "tile_done": Out(1),
            "scale_write": Out(1),
            "scale_slot": Out(1),
            "scale_row": Out(address_bits(p.rows)),
            "scale_multiplier": Out(16),
            "scale_shift": Out(6),
        }
        if trace:
            members["trace"] = Out(trace_signature(p))
        super().__init__(members)
        without_reset(self, "tile_data")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.walk = walk = RowWalk(p, trace=self._trace)
        m.submodules.patches = patches = PatchesLoad(p, trace=self._trace)
        m.submodules.layer_norm = norm = LayerNormLoad(p, self._plan, trace=self._trace)
        m.submodules.exp = exp = ExpLoad(p)
        m.submodules.row_unit = unit = RowUnit(
            variance_style=self._plan.row,
            combine_style=self._plan.combine,
            interpolate_style=self._plan.interpolate,
        )
        config = Signal(load_config(p), reset_less=True)
        wiring.connect(m, wiring.flipped(self.pixels), patches.pixels)
        self._accept(m, walk, patches, norm, config)
        self._read(m, walk.request)
        tags = [walk.request.tag]
        for index in range(READ_LATENCY + exp.latency):
            tags.append(register(m, tags[-1], name=f"tag_{index + 1}"))
        self._connect_exp(m, walk.request, exp, unit, tags)
        self._connect_norm(m, walk.request, norm, unit, tags[READ_LATENCY])
        m.d.comb += [getattr(unit, name).eq(getattr(config, name)) for name in unit.config_names]
        m.d.comb += norm.config.eq(config)
        self._write(m, walk.request, patches, norm, exp, tags[-1])
        return m

    # -- jobs --------------------------------------------------------------------------------------------

    def _accept(
        self, m: Module, walk: RowWalk, patches: PatchesLoad, norm: LayerNormLoad, config: Any
    ) -> None:
        """Start the waiting job as soon as everything it needs is there."""
        p, job = self._parameters, self.jobs.payload
        is_pool, is_pool_norm = job.load == Load.POOL, job.load == Load.POOL_NORM
        ready, start, free = Signal(), Signal(), Signal(range(p.tile_slots + 1), init=p.tile_slots)
        under_way = Signal(range(p.tile_slots + 1))
        m.d.comb += [
            start.eq(ready & ~patches.busy & (~walk.busy | walk.finishing)),
            self.jobs.ready.eq(start),
        ]
        usable = self._depended(m, job, start) & (free != 0)
        compatible = self._compatible(m, job, start, config, norm) | (under_way == 0)
        m.d.sync += [
            ready.eq(self.jobs.valid & ~start & usable & compatible),
            free.eq(free + self.slot_freed - start),
            under_way.eq(under_way + start - self.tile_done),
        ]
        slot = Signal(range(p.tile_slots))
        with m.If(start):
            m.d.sync += slot.eq(Mux(slot == p.tile_slots - 1, 0, slot + 1))
            m.d.sync += [norm.pool.eq(is_pool | is_pool_norm), norm.pool_norm.eq(is_pool_norm)]
        slot_word = Array(
            [C(index * slot_words(p), walk.slot_word.shape()) for index in range(p.tile_slots)]
        )[slot]
        is_patches = job.load == Load.PATCHES
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

    def _compatible(self, m: Module, job: Any, start: Value, config: Any, norm: LayerNormLoad) -> Value:
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
        norm_same = was_norm & ~norm.pool & Cat(same[name] for name in NORM_FIELDS).all()
        context_same = Cat(same[name] for name in CONTEXT_FIELDS).all()
        return Mux(is_norm | is_pool, norm_same & ~is_pool, ~was_norm & (context_same | ~is_context))

    # -- data --------------------------------------------------------------------------------------------

    def _read(self, m: Module, request: Any) -> None:
        m.d.comb += [
            self.feature_address.eq(request.address),
            self.residual_address.eq(request.address),
            self.score_address.eq(request.score_address),
        ]

    def _connect_exp(self, m: Module, request: Any, exp: ExpLoad, unit: RowUnit, tags: list[Any]) -> None:
        """Scores and their row's maximum; the denominators' way to the scales."""
        maxima = Array([self.maxima[index] for index in range(2 * self._parameters.rows)])
        asked = tags[1]
        row = Mux(asked.slot, asked.lane + self._parameters.rows, asked.lane)
        found = tags[READ_LATENCY]
        m.d.comb += [
            exp.table_write.eq(self.table_write),
            exp.table_address.eq(self.table_address),
            exp.table_data.eq(self.table_data),
            exp.logits.eq(self.scores),
            exp.maximum.eq(register(m, maxima[row], name="maximum")),
            exp.bank.eq(delay(m, request.bank, READ_LATENCY, name="bank")),
            exp.mask.eq(delay(m, request.mask, READ_LATENCY, name="mask")),
            exp.valid.eq(delay(m, request.scores, READ_LATENCY, name="scores_valid")),
            exp.first.eq(found.row_first),
            exp.last.eq(found.row_last),
            unit.context_start.eq(exp.denominator_valid),
            unit.denominator.eq(exp.denominator),
        ]
        later = exp.denominator_latency - exp.latency + unit.context_latency
        place = delay(m, Cat(tags[-1].slot, tags[-1].lane), later, name="place")
        m.d.comb += [
            self.scale_write.eq(unit.context_valid),
            self.scale_slot.eq(place[0]),
            self.scale_row.eq(place[1:]),
            self.scale_multiplier.eq(unit.multiplier),
            self.scale_shift.eq(unit.shift),
        ]

    def _connect_norm(self, m: Module, request: Any, norm: LayerNormLoad, unit: RowUnit, tag: Any) -> None:
        for name in ("inner_first", "inner_last"):
            m.d.comb += getattr(norm, name).eq(delay(m, getattr(request, name), READ_LATENCY, name=name))
        m.d.comb += [
            norm.valid.eq(delay(m, request.residual, READ_LATENCY, name="residual_valid")),
            norm.word.eq(self.residual),
            norm.tag.eq(tag),
            unit.norm_start.eq(norm.norm_start),
            unit.sum.eq(norm.sum),
            unit.squares.eq(norm.squares),
            norm.norm_valid.eq(unit.norm_valid),
            norm.multiplier.eq(unit.multiplier),
            norm.shift.eq(unit.shift),
        ]

    def _write(
        self, m: Module, request: Any, patches: PatchesLoad, norm: LayerNormLoad, exp: ExpLoad, tag: Any
    ) -> None:
        """The one write port of the tile slots, and the trace of it."""
        features = delay(m, self.features, exp.latency, name="row")
        fixed = READ_LATENCY + exp.latency
        is_row = delay(m, request.features, fixed, name="row_valid")
        is_exp = delay(m, request.scores, fixed, name="exp_valid")
        late = fixed - patches.latency
        is_patch = delay(m, patches.valid, late, name="patch_valid")
        patch, patch_tag = (
            delay(m, patches.word, late, name="patch"),
            delay(m, patches.tag, late, name="patch_tag"),
        )
        chosen = Signal(self._tag, reset_less=True)
        m.d.sync += self.tile_write.eq(is_row | is_exp | is_patch | norm.o_valid)
        with m.If(norm.o_valid):
            m.d.sync += [self.tile_data.eq(norm.o_word), chosen.eq(norm.o_tag)]
        with m.Elif(is_patch):
            m.d.sync += [self.tile_data.eq(patch), chosen.eq(patch_tag)]
        with m.Else():
            m.d.sync += [self.tile_data.eq(Mux(is_exp, exp.word.as_value(), features)), chosen.eq(tag)]
        m.d.comb += [self.tile_lane.eq(chosen.lane), self.tile_address.eq(chosen.word)]
        was_norm = register(m, norm.o_valid, name="was_norm")
        ended = self.tile_write & chosen.tile_last
        # A context row's scale must be there when DRAIN asks for it, `slack` cycles after `tile_done`.
        scale_at = READ_LATENCY + exp.denominator_latency + RowUnit.context_latency
        late = max(0, scale_at - (fixed + 1) - self._slack)
        fixed_done = delay(m, ended & ~was_norm, late, name="fixed_done")
        m.d.comb += self.tile_done.eq((ended & was_norm) | fixed_done)
        if self._trace:
            self._show(m, chosen, register(m, is_exp, name="was_exp"))

    def _show(self, m: Module, tag: Any, is_exp: Value) -> None:
        shown = self.trace
        m.d.comb += shown.valid.eq(self.tile_write)
        for name in ("command", "kind", "head", "row", "word"):
            m.d.comb += getattr(shown, name).eq(getattr(tag, f"trace_{name}"))
        for lane in range(self._parameters.columns):
            byte = self.tile_data[8 * lane : 8 * lane + 8]
            extended = Mux(is_exp, byte, byte.as_signed())
            m.d.comb += shown.data[16 * lane : 16 * lane + 16].eq(extended)
