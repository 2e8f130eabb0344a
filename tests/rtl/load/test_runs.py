# SPDX-License-Identifier: Apache-2.0
"""The reader of run lists alone: every place of a list, a cycle each, and again from the start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.runs import pack_runs
from hlsgen.machine.time.latency import LIST_START
from hlsgen.rtl.load.runs import RunReader

STRIDE, SOURCE = 3, 5


def _machine(row_width: int) -> MachineParameters:
    return MachineParameters(
        rows=4, columns=4, depth=4, row_width=row_width, list_words=48, feature_words=1024
    )


def _read(p: MachineParameters, lists: list[np.ndarray], cuts: list[int], stall: float) -> list[list[Any]]:
    """Cycle, address, bank and zero of so many places of each list, which begin one after another."""
    dut, random = RunReader(p), np.random.default_rng(4)
    data = [pack_runs(rows, STRIDE * p.row_width, p.row_width) for rows in lists]
    first = np.cumsum([0, *(len(each) // 8 for each in data)])
    found: list[list[Any]] = [[] for _ in lists]

    async def bench(ctx: Any) -> None:
        for address, word in enumerate(np.frombuffer(b"".join(data), "<u8")):
            ctx.set(dut.write.valid, 1)
            ctx.set(dut.write.address, address)
            ctx.set(dut.write.data, int(word))
            await ctx.tick()
        ctx.set(dut.write.valid, 0)
        for number, cut in enumerate(cuts):
            ctx.set(dut.first, int(first[number]))
            ctx.set(dut.source, SOURCE)
            ctx.set(dut.stride, STRIDE * p.row_width)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.source, 0)
            cycle = 1
            while len(found[number]) < cut:
                ready = int(random.random() >= stall)
                ctx.set(dut.o.ready, ready)
                place = dut.o.payload
                if ready and ctx.get(dut.o.valid):
                    values = [ctx.get(value) for value in (place.address, place.bank, place.zero)]
                    found[number].append([cycle, *values])
                await ctx.tick()
                cycle += 1
            ctx.set(dut.o.ready, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("row_width", [1, 2, 4])
def test_places(row_width: int, stall: float) -> None:
    p, random = _machine(row_width), np.random.default_rng(row_width)
    single = random.permutation(30) - 1  # a row of zeros among runs of one row
    lists = [np.repeat([-1, 7], 3), np.array([*range(3, 20), *range(9), -1, 4]), single]
    cuts = [2, 28, 30]  # the first list is left early
    for rows, places in zip(lists, _read(p, lists, cuts, stall), strict=True):
        for row, (_, address, bank, zero) in zip(rows, places, strict=False):
            assert zero == (row < 0)
            wanted = (SOURCE + row // row_width * STRIDE * row_width, row % row_width)
            assert zero or (address, bank) == wanted
        cycles = np.array([place[0] for place in places])
        if not stall:
            assert cycles.tolist() == list(range(LIST_START + 1, LIST_START + 1 + len(places)))
