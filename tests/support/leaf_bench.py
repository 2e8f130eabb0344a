# SPDX-License-Identifier: Apache-2.0
"""Runs pipelines side by side in Verilator: one vector in and one out a cycle, as NumPy records."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hlsgen.sim
from hlsgen.emit.rtl import convert
from hlsgen.sim import library, verilator

FLUSH = 64
"""Vectors of zeros after the last one, so that every result comes out."""


def packed(*fields: Any) -> np.dtype:
    """A record type for one direction: the fields, padded to whole 32-bit words, more than 64 bits."""
    size = np.dtype(list(fields)).itemsize
    padding = max(12 - size, -size % 4)
    return np.dtype([*fields, *([("padding", "u1", (padding,))] if padding else [])])


class Leaves(wiring.Component):
    """A top whose ports are two records: `wire(m, leaves)` puts the pipelines between them."""

    stimulus: Any
    response: Any
    first: Any

    def __init__(
        self, stimulus: np.dtype, response: np.dtype, wire: Callable[[Module, Leaves], None]
    ) -> None:
        self._types, self._wire = {"stimulus": stimulus, "response": response}, wire
        super().__init__(
            {
                "stimulus": In(8 * stimulus.itemsize),
                "first": In(1),
                "response": Out(8 * response.itemsize),
            }
        )

    def elaborate(self, platform: object) -> Module:
        del platform
        m = Module()
        self._wire(m, self)
        return m

    def pick(self, name: str, lane: int = 0) -> Value:
        """A field of the stimulus, or one of its lanes."""
        return self._field("stimulus", name, lane)

    def put(self, name: str, value: Any, lane: int = 0) -> Any:
        """The statement that shows a value in a field of the response."""
        return self._field("response", name, lane).eq(value)

    def _field(self, port: str, name: str, lane: int) -> Value:
        fields: Any = self._types[port].fields
        item, offset = fields[name][:2]
        start = 8 * (offset + lane * item.base.itemsize)
        bits = getattr(self, port)[start : start + 8 * item.base.itemsize]
        return bits.as_signed() if port == "stimulus" and item.base.kind == "i" else bits


@dataclass(frozen=True)
class LeafBench:
    """The built simulator."""

    executable: Path
    stimulus: np.dtype
    response: np.dtype

    def run(self, vectors: np.ndarray, *, hold: int = 1, phase: int = 0) -> np.ndarray:
        """Responses after cycle `phase` of every vector's `hold` cycles, `FLUSH` more than vectors."""
        given, found = (self.executable.with_name(name) for name in ("stimulus", "response"))
        with given.open("wb") as file:
            file.write(vectors.tobytes() + np.zeros(FLUSH, self.stimulus).tobytes())
        verilator.run([str(self.executable), str(given), str(found), str(hold), str(phase)], given.parent)
        return np.fromfile(found, self.response)


def build(leaves: Leaves, stimulus: np.dtype, response: np.dtype, folder: Path) -> LeafBench:
    """Build the simulator in a folder; the models of an ECP5's cells are part of it."""
    source = Path(__file__).with_name("leaf_bench.cpp")
    models = sorted(Path(hlsgen.sim.__file__).with_name("models").glob("*.v"))
    (folder / "leaves.v").write_text(convert(leaves, "leaves") + "".join(map(Path.read_text, models)))
    shutil.copy(source, folder)
    library.build(folder, ("--top-module", "leaves", "leaves.v", source.name), "leaves")
    return LeafBench(folder / "leaves", stimulus, response)
