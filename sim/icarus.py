# SPDX-License-Identifier: Apache-2.0
"""Whole images on the RTL in Icarus Verilog, through cocotb: the second opinion, slow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import COUNTERS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.sim.cosim import Run
from hlsgen.sim.runner import simulate


def run(
    parameters: MachineParameters,
    image: bytes,
    inputs: Sequence[bytes],
    folder: Path,
    *,
    text: str,
    task: int = 0,
) -> list[Run]:
    """Run one Image on padded inputs, one after another, on the traced top's Verilog `text`.

    Raises `ToolMissing` without Icarus and `ToolFailed` or `Mismatch` when the run itself fails.
    """
    sections = Image.unpack(image)
    with tempfile.TemporaryDirectory() as name:
        given, found = Path(name) / "inputs.npz", Path(name) / "results.npz"
        np.savez(
            given,
            image=np.frombuffer(image, np.uint8),
            inputs=np.stack([np.frombuffer(data, np.uint8) for data in inputs]),
            output_bytes=sections.output_bytes,
            columns=parameters.columns,
            task=task,
        )
        environ = {"HLSGEN_INPUTS": str(given), "HLSGEN_RESULTS": str(found)}
        simulate(text, "hlsgen.sim.recorder", folder, simulator="icarus", environ=environ)
        with np.load(found) as results:
            return [_run(results, index) for index in range(len(inputs))]


def _run(results: np.lib.npyio.NpzFile, index: int) -> Run:
    error, *counters = (int(value) for value in results[f"registers_{index}"])
    registers = {"error": error, **dict(zip([counter.title for counter in COUNTERS], counters, strict=True))}
    return Run(results[f"output_{index}"].tobytes(), registers, results[f"records_{index}"])
