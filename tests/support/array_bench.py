# SPDX-License-Identifier: Apache-2.0
"""Drives the multiplier array with whole blocks and collects what it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth import Module
from amaranth.sim import Simulator

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.array.array import Array

Blocks = list[tuple[np.ndarray, np.ndarray]]
"""Operands [steps, R, D] and weights [steps, C, D] of each block."""


def run(parameters: MachineParameters, style: str, blocks: Blocks) -> list[np.ndarray]:
    """The accumulators [R, C] of every block; blocks follow one another without a gap."""
    array, found = Array(parameters, style=style), []
    shape = parameters.rows, parameters.columns

    async def feed(context: Any) -> None:
        if array.late:
            await context.tick().repeat(array.late)
        for operands, _ in blocks:
            for step in operands:
                for index, value in enumerate(step.ravel()):
                    context.set(array.operands[index], int(value))
                await context.tick()

    async def drive(context: Any) -> None:
        for operands, weights in blocks:
            for step in range(len(operands)):
                for index, value in enumerate(weights[step].ravel()):
                    context.set(array.weights[index], int(value))
                context.set(array.valid, 1)
                context.set(array.first, step == 0)
                context.set(array.last, step == len(operands) - 1)
                await context.tick()
        context.set(array.valid, 0)
        await context.tick().repeat(array.latency + 4)

    async def watch(context: Any) -> None:
        for _ in blocks:
            await context.tick().until(array.captured)
            cells = [context.get(array.held[index]) for index in range(shape[0] * shape[1])]
            found.append(np.array(cells).reshape(shape))

    m = Module()
    m.submodules.array = array
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed, background=True)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return found
