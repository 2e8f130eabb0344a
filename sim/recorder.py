# SPDX-License-Identifier: Apache-2.0
"""A cocotb test that runs images on the traced top and keeps what came: outputs, registers, trace records.

It reads the file named by HLSGEN_INPUTS (.npz with `image`, `inputs` [n, bytes], `output_bytes`, `columns`),
writes HLSGEN_RESULTS, and compares nothing: that is done by who started it.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from hlsgen.machine.trace import record_type

from .testbench import COUNTER_NAMES, Bench

TRACES = ("trace_tile", "trace_drain")
FIELDS = ("kind", "head", "command", "row", "word")
LIMIT = 1_000_000_000


class Recorder:
    """The words that the trace ports show, each with the cycle in which it was seen."""

    def __init__(self, dut: Any, columns: int) -> None:
        self._dut, self._type = dut, record_type(columns)
        self._records: list[np.ndarray] = []
        self._valids = [getattr(dut, f"{name}_valid") for name in TRACES]

    async def run(self) -> None:
        """Look at every cycle."""
        cycle = 0
        while True:
            await FallingEdge(self._dut.clk)
            cycle += 1
            for which, valid in enumerate(self._valids):
                shown = int(valid.value)
                for index in range(shown.bit_length()):
                    if shown >> index & 1:
                        self._records.append(self._record(which, index, cycle))

    def _record(self, which: int, index: int, cycle: int) -> np.ndarray:
        """Row `index` of the group that is shown."""
        record = np.zeros((), self._type)
        record["which"], record["cycle"] = which, cycle
        for name in FIELDS:
            record[name] = int(getattr(self._dut, f"{TRACES[which]}_{name}").value)
        data = getattr(self._dut, f"{TRACES[which]}_data").value
        words = np.frombuffer(int(data).to_bytes(len(data) // 8, "little"), "<i2")
        record["data"] = words.reshape(-1, *self._type["data"].shape)[index]
        record["row"] += index
        return record

    def records(self) -> np.ndarray:
        """All of them, in order."""
        return np.array(self._records, self._type)


@cocotb.test(skip="HLSGEN_INPUTS" not in os.environ)
async def record(dut: Any) -> None:
    """Run every image and write what it left."""
    with np.load(os.environ["HLSGEN_INPUTS"]) as given:
        image, inputs = given["image"].tobytes(), given["inputs"]
        output_bytes, columns, task = (int(given[name]) for name in ("output_bytes", "columns", "task"))
    bench = Bench(dut)
    await bench.start()
    found: dict[str, np.ndarray] = {}
    for index, data in enumerate(inputs):
        recorder = Recorder(dut, columns)
        watching = cocotb.start_soon(recorder.run())
        result = await bench.run(image, data.tobytes(), output_bytes, limit=LIMIT, task=task)
        watching.cancel()
        registers = [result.error, *(result.counters[name] for name in COUNTER_NAMES)]
        found[f"output_{index}"] = np.frombuffer(result.output, np.uint8)
        found[f"registers_{index}"] = np.array(registers, np.uint64)
        found[f"records_{index}"] = recorder.records()
    np.savez(os.environ["HLSGEN_RESULTS"], **found)  # type: ignore[arg-type]
