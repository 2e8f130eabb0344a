"""Runs a Program on the core alone in the Amaranth simulator, its streams stalled at random or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from hlsgen.lower import lower
from hlsgen.lower.lower import Lowered
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.commands import COMMAND_BYTES
from hlsgen.machine.interpreter import Execution, Interpreter
from hlsgen.machine.trace import record_type
from hlsgen.rtl.core import Core
from support.graphs import Vit, images, integer_vit

COUNTERS = ("issue", "wait_tile", "wait_weights", "wait_drain", "idle")


@dataclass(frozen=True)
class CoreRun:
    """What the core did: cycles until `done`, counters, output bytes, trace records."""

    cycles: int
    counters: dict[str, int]
    output: bytes
    records: np.ndarray


def case(vit: Vit, array: tuple[int, int, int]) -> tuple[Lowered, bytes, Execution]:
    """A lowered model, an input for it, and what the interpreter makes of it."""
    rows, columns, depth = array
    lowered = lower(integer_vit(vit), ArrayShape(rows=rows, columns=columns, depth=depth))
    pixels = lowered.program.input.pack(images(vit, 1)[0], columns)
    return lowered, pixels, Interpreter(lowered.program.parameters, lowered.image.pack()).run(pixels)


class CoreBench:
    """One core with its streams.

    Parameters
    ----------
    lowered, pixels
        What to run.
    stall
        Chance that a stream holds back in a cycle.
    """

    def __init__(self, lowered: Lowered, pixels: bytes, *, stall: float = 0.0, seed: int = 1) -> None:
        self.parameters = p = lowered.program.parameters
        self.core: Any = Core(p, trace=True)
        self._stall, self._random = stall, Random(seed)
        image, c = lowered.image, p.columns
        program = image.program[: COMMAND_BYTES * len(lowered.program.commands)]
        self._streams = {
            "commands": _words(program, COMMAND_BYTES),
            "constants": _words(image.constants, 8 * c),
            "weights": _words(image.weights, c * p.depth),
            "addends": _words(image.addends, 2 * c),
            "pixels": _words(pixels, c),
        }
        self._output: list[bytes] = []
        self._records: list[np.ndarray] = []
        self._counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self._cycle = 0

    def run(self, limit: int) -> CoreRun:
        """Run until `done`, at most `limit` cycles."""
        simulator = Simulator(self.core)
        simulator.add_clock(1e-6)
        for name, words in self._streams.items():
            simulator.add_testbench(self._source(getattr(self.core, name), words), background=True)
        simulator.add_testbench(self._sink, background=True)
        simulator.add_testbench(self._watch(limit))
        simulator.run()
        records = np.concatenate(self._records)
        return CoreRun(self._cycle, self._counters, b"".join(self._output), records)

    def _source(self, port: Any, words: list[int]) -> Callable[[Any], Any]:
        async def bench(context: Any) -> None:
            for word in words:
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
            *_, valid, ready, word = await context.tick().sample(port.valid, port.ready, port.payload)
            if valid and ready:
                self._output.append(word.to_bytes(2 * self.parameters.columns, "little"))

    def _watch(self, limit: int) -> Callable[[Any], Any]:
        async def bench(context: Any) -> None:
            while not context.get(self.core.done):
                for name in COUNTERS:
                    self._counters[name] += context.get(getattr(self.core, name))
                for which, shown in enumerate((self.core.trace_tile, self.core.trace_drain)):
                    if context.get(shown.valid):
                        self._records.append(self._record(context, which, shown))
                await context.tick()
                self._cycle += 1
                assert self._cycle < limit, f"not done after {limit} cycles"

        return bench

    def _record(self, context: Any, which: int, shown: Any) -> np.ndarray:
        columns = self.parameters.columns
        record = np.zeros(1, record_type(columns))
        record["which"], record["cycle"] = which, self._cycle
        for name in ("command", "kind", "head", "row", "word"):
            record[name] = context.get(getattr(shown, name))
        record["data"] = np.frombuffer(context.get(shown.data).to_bytes(2 * columns, "little"), "<i2")
        return record


def _words(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data) - size + 1, size)]
