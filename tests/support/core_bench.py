# SPDX-License-Identifier: Apache-2.0
"""Runs a Program on the core alone in the Amaranth simulator, its streams stalled at random or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
from amaranth import Value
from amaranth.sim import Simulator

from hlsgen.lower import lower
from hlsgen.lower.lower import Lowered
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import COMMAND_BYTES, Command
from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import REASONS, TRACE_PORTS, record_type
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run.interpreter import Execution, Interpreter
from hlsgen.rtl.core.core import Core
from support.graphs import Vit, images, integer_vit

STREAMS = ("commands", "constants", "weights", "addends", "pixels")
COUNTERS = tuple(reason.level for reason in REASONS)

EVENTS = ("command", "start", "tile_done", "step", "captured")
"""A command offered, LOAD's start of a job, a tile handed over, a step, a block's sums complete."""


@dataclass(frozen=True)
class CoreRun:
    """What the core did: cycles until `done`, counters, output bytes, trace records.

    events: by name of a stage's event the cycles in which it was, see `EVENTS`.
    """

    cycles: int
    counters: dict[str, int]
    output: bytes
    records: np.ndarray
    events: dict[str, list[int]]


def case(vit: Vit, array: tuple[int, int, int]) -> tuple[Lowered, bytes, Execution]:
    """A lowered model, an input for it, and what the interpreter makes of it."""
    rows, columns, depth = array
    lowered = lower(integer_vit(vit), ArrayShape(rows=rows, columns=columns, depth=depth))
    pixels = lowered.program.input.pack(images(vit, 1)[0], columns)
    return lowered, pixels, Interpreter(lowered.program.parameters, lowered.image.pack()).run(pixels)


class CoreBench:
    """One core with its streams, for any number of runs.

    Parameters
    ----------
    parameters
        The machine's shape.
    """

    def __init__(self, parameters: MachineParameters) -> None:
        self.parameters = parameters
        self.core: Any = Core(parameters, trace=True)
        module = self.core.elaborate(None)
        self._events = _events(
            self.core, {name: part for name, (part, _) in module._named_submodules.items()}
        )
        self._simulator, self._used = Simulator(module), False
        self._simulator.add_clock(1e-6)
        for name in STREAMS:
            self._simulator.add_testbench(self._source(name), background=True)
        self._simulator.add_testbench(self._sink, background=True)
        self._simulator.add_testbench(self._watch)

    def run(
        self, image: Image, pixels: bytes, *, stall: float = 0.0, limit: int = 20_000, seed: int = 1
    ) -> CoreRun:
        """Run an Image from reset until `done`; a stream holds back in a cycle with chance `stall`."""
        self._stall, self._random, self._limit = stall, Random(seed), limit
        c = self.parameters.columns
        self._streams = {
            "commands": _words(_used(image.program), COMMAND_BYTES),
            "constants": _words(image.constants, word_bytes(c)),
            "weights": _words(image.weights, c * self.parameters.depth),
            "addends": _words(image.addends, 2 * c * self.parameters.row_width),
            "pixels": _words(pixels, c),
        }
        self._output: list[bytes] = []
        self._records: list[np.ndarray] = []
        self._counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self._found: dict[str, list[int]] = {name: [] for name in EVENTS}
        self._cycle = 0
        if self._used:  # a reset makes the benches anew, and those made first must have run
            self._simulator.reset()
        self._used = True
        self._simulator.run()
        records = np.concatenate(self._records)
        return CoreRun(self._cycle, self._counters, b"".join(self._output), records, self._found)

    def _source(self, name: str) -> Callable[[Any], Any]:
        port = getattr(self.core, name)

        async def bench(context: Any) -> None:
            for word in self._streams[name]:
                while self._random.random() < self._stall:
                    await context.tick()
                context.set(port.payload, word)
                context.set(port.valid, 1)
                taken = False
                while not taken:
                    *_, taken = await context.tick().sample(port.ready)
                context.set(port.valid, 0)

        return bench

    async def _sink(self, context: Any) -> None:
        port = self.core.output
        while True:
            context.set(port.ready, self._random.random() >= self._stall)
            *_, valid, ready, word = await context.tick().sample(port.valid, port.ready, port.payload.data)
            if valid and ready:
                self._output.append(word.to_bytes(len(port.payload.data) // 8, "little"))

    async def _watch(self, context: Any) -> None:
        while not context.get(self.core.done):
            for name in COUNTERS:
                self._counters[name] += context.get(self.core.levels[name])
            for name, event in self._events.items():
                if context.get(event):
                    self._found[name].append(self._cycle)
            for which, shown in enumerate((self.core.trace_tile, self.core.trace_drain)):
                valid = context.get(shown.valid)
                rows = [row for row in range(self.parameters.row_width) if valid >> row & 1]
                self._records += [self._record(context, which, shown, row) for row in rows]
            await context.tick()
            self._cycle += 1
            assert self._cycle < self._limit, f"not done after {self._limit} cycles"

    def _record(self, context: Any, which: int, shown: Any, row: int) -> np.ndarray:
        columns = self.parameters.columns
        record = np.zeros(1, record_type(columns))
        record["which"], record["cycle"] = which, self._cycle
        for name in TRACE_PORTS:
            record[name] = context.get(getattr(shown, name))
        record["row"] += row
        data = context.get(shown.data) >> (16 * columns * row)
        words = data & ((1 << 16 * columns) - 1)
        record["data"] = np.frombuffer(words.to_bytes(2 * columns, "little"), "<i2")
        return record


def _events(core: Any, stages: dict[str, Any]) -> dict[str, Value]:
    """`EVENTS`, read off the stages' ports."""
    load, jobs = stages["load"], stages["load"].jobs
    found = (core.commands.valid, jobs.valid & jobs.ready, load.tile_done, core.levels.issue)
    return dict(zip(EVENTS, (*found, stages["array"].captured), strict=True))


def _words(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data) - size + 1, size)]


def _used(program: bytes) -> bytes:
    """The commands up to the last one, without padding."""
    for end in range(COMMAND_BYTES, len(program) + 1, COMMAND_BYTES):
        if Command.unpack(program[end - COMMAND_BYTES : end]).last:
            return program[:end]
    raise ValueError("a program must have a last command")


@cache
def core_bench(parameters: MachineParameters) -> CoreBench:
    """The bench of a machine, made once: most of a short run's time goes into making it."""
    return CoreBench(parameters)
