# SPDX-License-Identifier: Apache-2.0
"""The reader of key lists alone: the runs of one job after another, a cycle each, stalled and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hlsgen.machine.format.key_runs import pack_key_runs
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.core.key_lists import KeyReader

WORDS, RUNS, TILES, DEPENDS = (2, 3), 3, 4, 5


def _machine(columns: int, depth: int) -> MachineParameters:
    return MachineParameters(
        rows=2, columns=columns, depth=depth, key_words=2000, value_words=2000, tile_words=4,
        key_list_words=40, score_addends=1, operand_bases=1,
    )  # fmt: skip


def _jobs(first: int) -> list[dict[str, int]]:
    """The jobs of two heads' tiles, scores one ahead of contexts."""
    count, jobs = 2 * TILES, []
    for j in range(-1, count):
        for context, at in ((0, j + 1), (1, j)):
            if 0 <= at < count:
                head, tile = divmod(at, TILES)
                jobs.append(
                    {
                        "context": context, "first": int(tile == 0), "list": first, "runs": RUNS,
                        "passes": WORDS[1] if context else 1, "base": 100 * head,
                        "waits": int(at == 0 and not context), "operand_depends_on": DEPENDS,
                    }
                )  # fmt: skip
    return jobs


def _read(p: MachineParameters, data: bytes, stall: float) -> list[tuple[int, ...]]:
    """Cycle, address, more and final of each run; commands drain in cycle 20."""
    dut, random, found, jobs = KeyReader(p), np.random.default_rng(3), [], _jobs(2)
    total = sum(job["runs"] * job["passes"] for job in jobs)

    async def give(ctx: Any) -> None:
        for job in jobs:
            ctx.set(dut.jobs.payload, job)
            ctx.set(dut.jobs.valid, 1)
            await ctx.tick().until(dut.jobs.ready)
        ctx.set(dut.jobs.valid, 0)

    async def bench(ctx: Any) -> None:
        for address, word in enumerate(np.frombuffer(data, "<u8"), 2):
            ctx.set(dut.write.valid, 1)
            ctx.set(dut.write.address, address)
            ctx.set(dut.write.data, int(word))
            await ctx.tick()
        ctx.set(dut.write.valid, 0)
        cycle = 0
        while len(found) < total:
            ready = int(random.random() >= stall)
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.drained_commands, DEPENDS + (cycle >= 20))
            run = dut.o.payload
            if ready and ctx.get(dut.o.valid):
                found.append((cycle, *(ctx.get(value) for value in (run.address, run.more, run.final))))
            await ctx.tick()
            cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(give, background=True)
    simulator.run()
    return found


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("columns", "depth"), [(4, 4), (8, 2), (2, 8)])
def test_runs(columns: int, depth: int, stall: float) -> None:
    p, random = _machine(columns, depth), np.random.default_rng(columns)
    words = (WORDS[0] * max(columns, depth) // columns, WORDS[1])
    tiles = [
        [(int(first), int(count)) for first, count in random.integers(1, 7, (RUNS, 2))] for _ in range(TILES)
    ]
    data = pack_key_runs(tiles, p, words, (0, 0))
    packed = np.frombuffer(data, "<u4").reshape(TILES, RUNS, 2).astype(int)
    wanted, seen = [], [0, 0]
    for job in _jobs(0):
        side = job["context"]
        tile = packed[seen[side] % TILES, :, side]
        seen[side] += 1
        for turn in range(job["passes"]):
            for number, run in enumerate(tile):
                place = (run & 0xFFFFF) + job["base"] + turn
                address = place if side else place * columns // depth
                final = turn == job["passes"] - 1 and number == RUNS - 1
                wanted.append((address, run >> 20, int(final)))
    found = _read(p, data, stall)
    assert [run[1:] for run in found] == wanted
    assert found[0][0] >= 20  # keys and values were written
    if not stall:  # within a job a run a cycle
        cycles = np.array([run[0] for run in found])
        ends = np.flatnonzero([run[3] for run in found])
        gaps = np.delete(np.diff(cycles), ends[:-1])
        assert (gaps == 1).all()
