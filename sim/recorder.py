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

from .interface import COUNTERS
from .testbench import Bench
from .trace_recorder import Recorder

LIMIT = 1_000_000_000


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
        registers = [result.error, *(result.counters[counter.title] for counter in COUNTERS)]
        found[f"output_{index}"] = np.frombuffer(result.output, np.uint8)
        found[f"registers_{index}"] = np.array(registers, np.uint64)
        found[f"records_{index}"] = recorder.records()
    np.savez(os.environ["HLSGEN_RESULTS"], **found)  # type: ignore[arg-type]
