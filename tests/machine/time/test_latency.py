# SPDX-License-Identifier: Apache-2.0
"""Every latency of the table, measured at a component's ports: an input changes, so much later an output.

The ECP5's multiplier blocks need Verilator: `tests/rtl/arith` finds their products where the table says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hlsgen.machine.format.multipliers import TARGETS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time import latency
from hlsgen.rtl.arith.multiplier import Multiplier, WideMultiplier, plan
from hlsgen.rtl.arith.reciprocal import Reciprocal
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.board.image_rom import ImageRom, MemoryMap
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.attention import ContextScales, RowMaxima
from hlsgen.rtl.drain.combine import GateRows
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.drain.scores import ScoreAddends
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.layer_norm import LayerNormLoad
from hlsgen.rtl.load.normalise import NormaliseLanes
from hlsgen.rtl.load.pool import Pool
from hlsgen.rtl.load.row_unit import RowUnit
from hlsgen.rtl.parts.memories import LaneMemory, Table, WordMemory
from hlsgen.rtl.parts.queues import Queue

SETTLED, LIMIT = 40, 80
"""Cycles before the change, and until an output must have changed."""
P = MachineParameters(rows=2, columns=4, depth=4, logit_bits=8)
SHAPES = [
    *(dataclasses.replace(P, columns=columns) for columns in (1, 2, 4, 8, 16)),
    *(dataclasses.replace(P, columns=8, norm_parts=parts) for parts in (1, 2, 8)),
]
Values = dict[str, Any]
"""Values of ports, by their path from the component: names and indices."""


class Case(NamedTuple):
    """A component, what of its ports holds, what changes, which one is watched, and how late it must be."""

    part: Callable[[], wiring.Component]
    holds: Values
    changes: Values
    watched: str
    cycles: int
    first: tuple[Values, ...] = ()
    """Values of one cycle each before everything: what a memory is filled with."""


def _port(part: Any, path: str) -> Any:
    for name in path.split("."):
        part = part[int(name)] if name.isdigit() else getattr(part, name)
    return part


def measured(case: Case) -> int:
    """Cycles from the one with the changed inputs to the one with the changed output."""
    part, found = case.part(), []

    async def drive(context: Any) -> None:
        def give(values: Values) -> None:
            for path, value in values.items():
                context.set(_port(part, path), value)

        for values in case.first:
            give(values)
            await context.tick()
            give(dict.fromkeys(values, 0))
        give(case.holds)
        await context.tick().repeat(SETTLED)
        before = context.get(_port(part, case.watched))
        give(case.changes)
        for cycle in range(LIMIT):
            if context.get(_port(part, case.watched)) != before:
                found.append(cycle)
                return
            await context.tick()

    simulator = Simulator(part)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert found, "the output must change"
    return found[0]


def _named(**cases: Case) -> list[Any]:
    return [pytest.param(case, id=name) for name, case in cases.items()]


_FOUR = dataclasses.replace(P, rows=4)
_TABLE = ({"write.valid": 1, "write.data": 0x0807060504030201},)
_ROW = {"config.norm_width": 4, "config.norm_gain": 1 << 14, "config.context_multiplier": 1 << 14}
PARTS = _named(
    memory=Case(
        lambda: WordMemory(8, 16), {}, {"read_address.0": 3}, "read_data.0", latency.MEMORY,
        ({"write": 1, "write_address": 3, "write_data": 7},),
    ),
    lanes=Case(
        lambda: LaneMemory(lanes=2, columns=4, depth=4, words=8), {}, {"read_address": 3}, "read_data.1",
        latency.MEMORY, ({"write": 1, "write_lane": 1, "write_address": 3, "write_data": 7},),
    ),
    table=Case(lambda: Table(2, 16), {}, {"index.1": 3}, "value.1", latency.TABLE, _TABLE),
    table_block=Case(lambda: Table(2, 16, block=True), {}, {"index.1": 3}, "value.1", latency.TABLE, _TABLE),
    queue=Case(lambda: Queue(8, 4), {}, {"i.valid": 1, "i.payload": 5}, "o.valid", latency.QUEUE),
    queue_apart=Case(
        lambda: Queue(8, 4, apart=True), {}, {"i.valid": 1, "i.payload": 5}, "o.valid", latency.QUEUE
    ),
    multiplier=Case(
        lambda: Multiplier(9, 8, latency=latency.MULTIPLIER), {"a": 3}, {"b": 5}, "p", latency.MULTIPLIER
    ),
    multiplier_soft=Case(
        lambda: Multiplier(9, 8, latency=latency.MULTIPLIER, style="soft"), {"a": 3}, {"b": 5}, "p",
        latency.MULTIPLIER,
    ),
    multiplier_tables=Case(
        lambda: Multiplier(9, 8, latency=latency.MULTIPLIER, style="tables"), {"a": 3}, {"b": 5}, "p",
        latency.MULTIPLIER,
    ),
    multiplier_short=Case(lambda: Multiplier(9, 8), {"a": 3}, {"b": 5}, "p", latency.SHORT_MULTIPLIER),
    wide_multiplier=Case(WideMultiplier, {"a": 3}, {"b": 5}, "p", latency.WIDE_MULTIPLIER),
    reciprocal=Case(Reciprocal, {}, {"start": 1, "x": 77}, "valid", latency.RECIPROCAL),
    normalise=Case(
        lambda: NormaliseLanes(2), {"amount": 14, "multiplier": 1 << 15}, {"value.1": 1 << 14}, "result.1",
        latency.NORMALISE,
    ),
    shifted=Case(
        lambda: NormaliseLanes(2), {"amount": 14}, {"value.1": 1 << 14}, "shifted.1", latency.SHIFTED
    ),
    factor=Case(
        lambda: NormaliseLanes(2), {"amount": 14, "value.1": 1 << 14}, {"multiplier": 1 << 15}, "result.1",
        latency.NORMALISE - latency.SHIFTED,
    ),
    row_context=Case(
        RowUnit, _ROW, {"context.start": 1, "context.denominator": 99}, "context_valid", latency.ROW_CONTEXT
    ),
    row_norm=Case(RowUnit, _ROW, {"norm.start": 1, "norm.squares": 99}, "norm.valid", latency.ROW_NORM),
    pool=Case(lambda: Pool(2), {}, {"valid": 1, "last": 1}, "o_valid", latency.POOL),
    pooled=Case(
        lambda: LayerNormLoad(P, plan(P, "generic")), {"column.pools": 1, "column.rows": 1},
        {"i.valid": 1, "column.first": 1, "column.last": 1}, "o.valid", latency.pool(),
    ),
    requantize=Case(
        lambda: Requantize(2, 20), {"multiplier.1": 1 << 15, "high": 99}, {"accumulator.1": 5}, "result.1",
        latency.REQUANTIZE,
    ),
    limits=Case(
        lambda: Requantize(2, 20, memory=True), {"multiplier.1": 1 << 15, "accumulator.1": 5, "high": 1},
        {"high": 2}, "result.1", latency.REQUANTIZE,
    ),
    activation=Case(
        lambda: Activation(2), {}, {"x.1": 3 - 128}, "result.1", latency.ACTIVATION,
        ({"table.valid": 1, "table.data": 0x0807060504030201},),
    ),
    add=Case(lambda: AddRows(2), {}, {"x.1": 5}, "result.1", latency.ADD),
    addend=Case(lambda: AddRows(2), {}, {"addend.1": 5}, "result.1", latency.ADD),
    score_addend=Case(
        lambda: ScoreAddends(dataclasses.replace(P, score_addends=1)), {}, {"addend.1": -(1 << 15)},
        "logits.1", latency.SCORE_ADDEND,
    ),
    score_total=Case(
        lambda: ScoreAddends(dataclasses.replace(P, score_addends=1)), {}, {"total.1": 5}, "logits.1",
        latency.SCORE_ADDEND - latency.ADD,
    ),
    gate=Case(lambda: GateRows(2), {"weighs": 1, "gate": 1 << 14}, {"x.1": 5}, "result.1", latency.GATE),
    not_gated=Case(lambda: GateRows(2), {}, {"x.1": 5}, "result.1", latency.GATE),
    context_scale=Case(
        lambda: ContextScales(_FOUR), {}, {"row": 2}, "multiplier.0", latency.CONTEXT_SCALE,
        ({"write.valid": 1, "write.row": 2, "write.multiplier.0": 7},),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: Case) -> None:
    assert measured(case) == case.cycles


@pytest.mark.parametrize("p", SHAPES, ids=lambda p: f"c{p.columns}n{p.norm_parts}")
def test_parts_whose_latency_depends_on_the_columns(p: MachineParameters) -> None:
    lanes = {f"logits.{lane}": -5 for lane in range(p.columns)}
    row = {"valid": 1, "restart": 1, "mask": 1} | lanes
    assert measured(Case(lambda: RowMaxima(p), {}, row, "maxima.0", 0)) == latency.row_maxima(p)
    row = {f"scores.{name}": 1 for name in ("valid", "first", "last", "mask")}
    found = measured(Case(lambda: ExpLoad(p), {}, row, "row.start", 0))
    assert found == latency.denominator(p)
    word = {"i.valid": 1, "i.tag.row_first": 1, "i.tag.row_last": 1}
    assert measured(Case(lambda: LayerNormLoad(p, plan(p, "generic")), {}, word, "row.start", 0)) == (
        latency.statistics(p)
    )


def test_a_score_is_exp_as_late_as_every_operand_word() -> None:
    filled = ({"table.valid": 1, "table.data": 0x0807060504030201},)
    case = Case(lambda: ExpLoad(P), {"scores.mask": 15}, {"scores.maximum": 3}, "word.1", 0, filled)
    assert measured(case) == latency.EXP == latency.FIXED - latency.MEMORY


@pytest.mark.parametrize("p", [*SHAPES[1:4], *SHAPES[-2:]], ids=lambda p: f"c{p.columns}n{p.norm_parts}")
def test_layer_norm(p: MachineParameters) -> None:
    """A row's only word to its operand word; the answer is as late as a real one's."""
    unit, found = LayerNormLoad(p, plan(p, "generic")), []

    async def drive(context: Any) -> None:
        context.set(unit.config.words, 1)
        await context.tick().repeat(SETTLED)
        for port in (unit.i.valid, unit.i.tag.row_first, unit.i.tag.row_last):
            context.set(port, 1)
        await context.tick()
        context.set(unit.i.valid, 0)
        answer = latency.statistics(p) + latency.ROW_NORM
        for cycle in range(1, LIMIT):
            context.set(unit.row.valid, cycle == answer)
            found.extend([cycle] * context.get(unit.o.valid))
            await context.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert found == [latency.norm(p)]


@pytest.mark.parametrize("depth", [1, 2, 8, 16])
@pytest.mark.parametrize("target", [target for target in TARGETS if target != "ecp5"])
def test_array(depth: int, target: str) -> None:
    """Products of the last step are in what is held from the cycle after `captured` on."""
    p = dataclasses.replace(P, columns=2, depth=depth)
    style = TARGETS[target].array_style(p.rows, p.columns)
    step = {"valid": 1, "first": 1, "last": 1, "weights.0": 3}
    for watched, later in (("captured", 0), ("held.0", 1)):
        case = Case(lambda: Array(p, style=style), {"operands.0": 7}, step, watched, later)
        assert measured(case) == latency.array(p, style) + later


def test_an_image_in_block_ram() -> None:
    where = MemoryMap(image_bytes=256, input_bytes=64, output_bytes=64)
    asks = {"read.arvalid": 1, "read.arsize": 3, "read.arburst": 1}
    case = Case(lambda: ImageRom(bytes(256), where, bus_bytes=8), {}, asks, "read.rvalid", 0)
    assert measured(case) == latency.IMAGE_ROM
