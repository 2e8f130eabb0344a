# SPDX-License-Identifier: Apache-2.0
"""The core's memories between its stages: rows, tiles, keys and values, and the array at their outputs."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Value

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import STEP
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.format.jobs import Stationary
from hlsgen.rtl.format.ports import OperandWritePorts
from hlsgen.rtl.format.widths import bank_words, score_words, slot_words, tile_groups
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.parts.memories import LaneMemory, WordMemory
from hlsgen.rtl.parts.pipeline import delay
from hlsgen.rtl.parts.queues import Ring


def connect_row_memories(m: Module, p: MachineParameters, load: LoadStage, drain: DrainStage) -> None:
    """Residual, features and scores: written by DRAIN, read by LOAD and, the residual, by DRAIN.

    Each has a bank for each row of a group.
    """
    for index in range(p.row_width):
        residual = WordMemory(16 * p.columns, bank_words(p, p.residual_words), readers=2)
        features = WordMemory(8 * p.columns, bank_words(p, p.feature_words))
        scores = WordMemory(p.logit_bits * p.columns, score_words(p))
        m.submodules[f"residual_{index}"] = residual
        m.submodules[f"features_{index}"] = features
        m.submodules[f"scores_{index}"] = scores
        here, real = range(index * p.columns, (index + 1) * p.columns), drain.rows.rows[index]
        m.d.comb += [
            residual.write.eq(drain.rows.residual & real),
            residual.write_address.eq(drain.rows.address),
            residual.write_data.eq(Cat(drain.rows.word[lane] for lane in here)),
            residual.read_address[0].eq(load.residual.address),
            residual.read_address[1].eq(drain.addend.address),
            features.write.eq(drain.rows.features & real),
            features.write_address.eq(drain.rows.address),
            features.write_data.eq(drain.operands.data.word_select(index, 8 * p.columns)),
            features.read_address[0].eq(load.features.address),
            scores.write.eq(drain.scores.valid),
            scores.write_address.eq(drain.scores.address),
            scores.write_data.eq(Cat(drain.scores.word[lane] for lane in here)),
            scores.read_address[0].eq(load.scores.address),
        ]
        for port, found in (
            (load.residual, residual.read_data[0]),
            (drain.addend, residual.read_data[1]),
            (load.features, features.read_data[0]),
            (load.scores, scores.read_data[0]),
        ):
            m.d.comb += port.data.as_value().word_select(index, len(found)).eq(found)


def connect_tiles(
    m: Module, p: MachineParameters, load: LoadStage, multiply: MultiplyStage, array: Array, *, block: bool
) -> None:
    """Tile slots, written by LOAD; their steps are the array's operands."""
    width, tiles = p.row_width, []
    address = delay(m, multiply.tile_address, array.late, name="tile_address")
    for index in range(width):
        slots = LaneMemory(
            lanes=tile_groups(p),
            words=p.tile_slots * slot_words(p),
            columns=p.columns,
            depth=p.depth,
            block=block,
        )
        m.submodules[f"tiles_{index}"] = slots
        m.d.comb += [
            slots.write.eq(load.tile.rows[index]),
            slots.write_lane.eq(load.tile.lane),
            slots.write_address.eq(load.tile.address),
            slots.write_data.eq(load.tile.data.word_select(index, 8 * p.columns)),
            slots.read_address.eq(address),
        ]
        tiles.append(slots.read_data)
    kind = delay(m, multiply.kind, STEP + array.late, name="tile_kind")
    for row in range(p.rows):
        for d in range(p.depth):
            byte = tiles[row % width][row // width][8 * d : 8 * d + 8]
            sign = byte[-1] & (kind != Kind.CONTEXT)
            m.d.comb += array.operands[row * p.depth + d].eq(Cat(byte, sign))


def connect_weights(
    m: Module,
    p: MachineParameters,
    multiply: MultiplyStage,
    written: OperandWritePorts,
    array: Array,
    ring: Ring,
    *,
    block: bool,
) -> None:
    """The array's weights: the ring's, or keys or values, as they are `written`."""
    width, keys, values = p.row_width, [], []
    shape: dict[str, Any] = {"columns": p.columns, "block": block, "latency": STEP}
    for index in range(width):
        key = LaneMemory(lanes=p.columns // width, words=p.key_words, depth=p.depth, **shape)
        value = LaneMemory(lanes=p.depth // width, words=p.value_words, depth=p.columns, **shape)
        m.submodules[f"keys_{index}"] = key
        m.submodules[f"values_{index}"] = value
        real = written.rows[index]
        for memory, write in ((key, written.keys), (value, written.values)):
            m.d.comb += [
                memory.write.eq(write & real),
                memory.write_lane.eq(written.lane),
                memory.write_address.eq(written.address),
                memory.write_data.eq(written.data.word_select(index, 8 * p.columns)),
                memory.read_address.eq(multiply.operand_address),
            ]
        keys.append(key.read_data)
        values.append(value.read_data)
    stationary = delay(m, multiply.stationary, STEP, name="stationary")
    half = delay(m, Cat(multiply.narrow, multiply.half), STEP, name="half") if p.narrow_weights else None
    for column in range(p.columns):
        for d in range(p.depth):
            index = d * p.columns + column
            plain = _weight(ring.data[8 * index : 8 * index + 8], half)
            key = keys[column % width][column // width][8 * d : 8 * d + 8]
            value = values[d % width][d // width][8 * column : 8 * column + 8]
            # Each memory's word comes from a register of its own, which a block RAM has inside.
            stored = Mux(stationary == Stationary.KEYS, key, value)
            chosen = Mux(stationary == Stationary.RING, plain, stored)
            m.d.comb += array.weights[column * p.depth + d].eq(chosen)


def _weight(byte: Value, half: Value | None) -> Value:
    """A step's weight out of a byte of its ring word.

    half: whether the weights have 4 bits, and whether the step's one is in the byte's high half; None: they
    never have.
    """
    if half is None:
        return byte
    low = Mux(half[1], byte[4:], byte[:4])
    return Cat(low, Mux(half[0], low[3].replicate(4), byte[4:]))


def connect_steps(m: Module, multiply: MultiplyStage, array: Array, digits: int) -> None:
    """The array learns of a step when its weights come."""
    for name, told, port in (
        ("issue", multiply.issue, array.valid),
        ("first", multiply.first, array.first),
        ("last", multiply.last, array.last),
        *([("low", multiply.low, array.low)] if digits > 1 else []),
    ):
        m.d.comb += port.eq(delay(m, told, STEP, name=f"{name}_step"))
