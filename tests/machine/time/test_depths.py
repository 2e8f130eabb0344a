# SPDX-License-Identifier: Apache-2.0
"""What RTL and cycle model must both know of bursts and queues: the hardware has what the model assumes."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator
from support.graphs import TINY, integer_vit

from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.parameters import BUS_BYTES
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing, make_plan
from hlsgen.machine.time.streams import Streams
from hlsgen.rtl.drain.streams import DrainStreams
from hlsgen.rtl.outside.fetch import Fetch

# Queues of 16, 16, 32, 64, 128 and 256 groups; rows that are no power of two; groups of several rows.
SHAPES = [(1, 1), (4, 1), (5, 1), (8, 1), (16, 1), (16, 2), (16, 4), (32, 1), (64, 1)]


def _lowered(rows: int, width: int, bus_bytes: int = 16, streamed: bool = False) -> Lowered:
    shape = ArrayShape(rows=rows, columns=4, depth=4, bus_bytes=bus_bytes, row_width=width, streamed=streamed)
    return lower(integer_vit(TINY), shape)


def _model(found: Lowered, near: bool = False) -> Streams:
    plan = make_plan(found.program, found.image, Routing())
    return Streams(plan, found.image, ExternalMemory(near=near))


@pytest.mark.parametrize(("rows", "width"), SHAPES)
def test_the_model_knows_how_many_addends_wait(rows: int, width: int) -> None:
    """Nobody takes any: as many groups go in as the ring of the model holds, without the width converter."""
    found = _lowered(rows, width)
    parameters = found.program.parameters
    queue, taken = DrainStreams(parameters), 0

    async def fill(ctx) -> None:
        nonlocal taken
        ctx.set(queue.addends.valid, 1)
        for _ in range(600):
            taken += ctx.get(queue.addends.ready)
            await ctx.tick()

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(fill)
    simulator.run()
    group = 2 * parameters.columns * width
    ring = _model(found).bus.channels["addends"].ring * parameters.bus_bytes
    assert ring == taken * group + max(group, parameters.bus_bytes)
    assert taken - 1 >= 4 * parameters.row_groups(rows)  # a full block's addends, and three to come


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("bus_bytes", BUS_BYTES)
@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
def test_the_model_knows_bursts_and_buffers(bus_bytes: int, near: bool, streamed: bool) -> None:
    found = _lowered(4, 1, bus_bytes, streamed)
    fetch, bus = Fetch(found.program.parameters, near=near), _model(found, near).bus
    channels = {name.removeprefix("channel_"): part for name, (part, _) in _parts(fetch).items()}
    depths = dict(zip(fetch._channels, (shape.depth for shape in fetch._shapes), strict=True))
    del depths["header"]
    assert {name: channel.buffer for name, channel in bus.channels.items()} == depths
    assert list(bus.channels) == list(depths)  # the order of turns
    assert bus._burst * bus_bytes == fetch._burst
    assert bus._outstanding == channels["tags"].depth == fetch._outstanding
    assert bus._burst * bus_bytes <= 4096


def _parts(fetch: Fetch) -> dict:
    return fetch.elaborate(None)._named_submodules
