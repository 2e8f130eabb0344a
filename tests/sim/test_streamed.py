# SPDX-License-Identifier: Apache-2.0
"""Streamed attention in RTL: its bandwidth depends on the span alone, not on the array's rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.graphs import Vit, images, integer_vit

from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Product
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.operand_stream import operand_bytes
from hlsgen.sim import cosim

MODEL = Vit(
    image=(1, 16, 32), prefix=0, width=32, heads=1, blocks=1, hidden=8, classes=4, pool="mean", seed=5
)
"""128 tokens, and little beside attention."""


def _bytes_per_cycle(rows: int, folder: Path) -> float:
    """Keys and values read, per cycle between the first score and the last context."""
    graph, picture = integer_vit(MODEL), images(MODEL, 1)[0]
    resident = ArrayShape(rows=rows, columns=4, depth=2, bus_bytes=16)
    outputs, beats, span = [], [], 1.0
    for array in (resident, replace(resident, streamed=True, span=4)):
        lowered = lower(graph, array)
        program = lowered.program
        harness = cosim.build(program.parameters, folder / f"{rows}_{array.streamed}", trace=True, quick=True)
        memory = cosim.MemoryTiming(latency=64)
        run = harness.run(lowered.image.pack(), [program.input.pack(picture, 4)], memory=memory)[0]
        cosim.check(program, run, evaluate(graph, picture))
        predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=64))
        assert abs(predicted.cycles - run.counters["cycles"]) <= 0.02 * run.counters["cycles"]
        assert predicted.bytes_read == run.counters["read_beats"] * 16
        outputs.append(run.output)
        beats.append(run.counters["read_beats"])
        attention = next(i for i, c in enumerate(program.commands) if c.product is Product.ATTENTION)
        assert run.records is not None
        mine = run.records[(run.records["command"] == attention) & (run.records["which"] == DRAIN)]
        span = float(np.ptp(mine["cycle"].astype(np.int64)))
    assert outputs[0] == outputs[1]
    # What the streamed run reads more than the resident one is keys and values.
    read = (beats[1] - beats[0]) * 16
    assert read == operand_bytes(lower(graph, replace(resident, streamed=True, span=4)).program)
    return read / span


@pytest.mark.slow
def test_bytes_per_cycle_stay_while_rows_double(tmp_path: Path) -> None:
    rates = [_bytes_per_cycle(rows, tmp_path) for rows in (4, 8, 16)]
    assert max(rates) <= 1.05 * min(rates), rates
