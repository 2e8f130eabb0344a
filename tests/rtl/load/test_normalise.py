# SPDX-License-Identifier: Apache-2.0
"""The memory of norm shifts alone: every part of rows, one a cycle, at all widths of a part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hlsgen.machine.format.norm_shifts import pack_shifts
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.load.normalise import NormShifts

WORDS = 3
ROWS = [(1, 2), (0, 1), (3, 1), (2, 2)]
"""The commands' `norm_shift_base`, and words of 64 elements of a row."""


async def _fill(context: Any, dut: NormShifts, shifts: np.ndarray) -> None:
    context.set(dut.write.valid, 1)
    for address, word in enumerate(np.frombuffer(pack_shifts(shifts), "<u8")):
        context.set(dut.write.address, address)
        context.set(dut.write.data, int(word))
        await context.tick()
    context.set(dut.write.valid, 0)


async def _row(context: Any, dut: NormShifts, parts: int, *, follows: bool) -> None:
    """Ask for the parts of a row that has begun; `follows`: another one begins with its last part."""
    for index in range(parts):
        context.set(dut.o.begins, follows and index == parts - 1)
        context.set(dut.o.asks, 1)
        await context.tick()
    context.set(dut.o.asks, 0)
    context.set(dut.o.begins, 0)


async def _begin(context: Any, dut: NormShifts) -> None:
    context.set(dut.o.begins, 1)
    await context.tick()
    context.set(dut.o.begins, 0)


@pytest.mark.parametrize(("columns", "parts"), [(1, 1), (4, 2), (8, 1), (16, 1), (64, 2), (64, 1)])
@pytest.mark.parametrize("gap", [0, 2])
def test_parts_of_rows_come_one_a_cycle(columns: int, parts: int, gap: int) -> None:
    p = MachineParameters(rows=1, columns=columns, depth=1, norm_parts=parts, norm_shift_words=WORDS)
    dut, lanes = NormShifts(p), p.norm_lanes
    shifts = np.random.default_rng(columns).integers(0, 8, 64 * WORDS)
    rows = [shifts[64 * (base - 1) :] if base else np.zeros(128, int) for base, _ in ROWS]
    expected = [
        part
        for row, (_, words) in zip(rows, ROWS, strict=True)
        for part in 2 * row[: 64 * words].reshape(-1, lanes).tolist()
    ]
    found: list[list[int]] = []

    async def drive(context: Any) -> None:
        await _fill(context, dut, shifts)
        for base, words in ROWS:
            context.set(dut.base, base)
            await context.tick().repeat(dut.latency)
            await _begin(context, dut)
            await _row(context, dut, 64 * words // lanes, follows=not gap)
            if gap:
                await context.tick().repeat(gap)
                await _begin(context, dut)
            await _row(context, dut, 64 * words // lanes, follows=False)
            await context.tick().repeat(dut.latency + 1)

    async def watch(context: Any) -> None:
        asked = [0] * dut.latency
        while True:
            *_, asks, shift = await context.tick().sample(dut.o.asks, dut.o.shift)
            if asked.pop(0):
                found.append([int(each) for each in shift])
            asked.append(asks)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert found == expected
