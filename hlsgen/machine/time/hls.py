# SPDX-License-Identifier: Apache-2.0
"""The schedule of the HLS C++: how deep its FIFOs are, and how long the pipelines of its processes may be.

The C++ prints these numbers into its pragmas, and its model of the processes runs with them. They are asked
of a scheduler, not measured: no scheduler has seen them. The parts of a pipeline are those of the RTL's
(`hlsgen/machine/time/latency.py`), with a register before and behind each FIFO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time import latency as rtl
from hlsgen.machine.time.depths import BEATS_UNDER_WAY, burst_bytes

MEMORY_LATENCY = 64
"""Cycles from a request of external memory to its first beat, as the benchmarks of the RTL have it."""
PORTS = 2
"""A word into a process and out of it: a register each."""
CONTROL = PORTS + 2
"""A process that counts and hands on."""
PRODUCT = 5
"""A product wider than one multiplier block."""
SILENCE = 100_000
"""Cycles without an access of a FIFO or of external memory that no program has."""
TRIPS = 1 << 21
"""What reports take for the iterations of a process: cycles of an image."""


@dataclass(frozen=True)
class Schedule:
    """What the C++ of a machine is printed with.

    latencies: of each process, from an iteration's first cycle to its last. depths: words of each FIFO.
    outstanding: bursts of `burst` beats that the Image's port may have asked for.
    """

    latencies: Mapping[str, int]
    depths: Mapping[str, int]
    memory_latency: int = MEMORY_LATENCY
    silence: int = SILENCE
    trips: int = TRIPS
    outstanding: int = 8
    burst: int = 16


def schedule(p: MachineParameters) -> Schedule:
    """The schedule of a machine."""
    waits = latencies(p)
    burst = burst_bytes(p.bus_bytes) // p.bus_bytes
    outstanding = max(2, BEATS_UNDER_WAY // burst)
    return Schedule(waits, depths(p, waits), outstanding=outstanding, burst=burst)


def latencies(p: MachineParameters) -> dict[str, int]:
    """Cycles of each process's pipeline."""
    tree = (p.columns - 1).bit_length()
    products = (p.depth - 1).bit_length()
    scale = rtl.ROW_NORMAL + rtl.ROW_MANTISSA + 2 * PRODUCT + rtl.MULTIPLIER + 4
    return {
        "fetch": CONTROL,
        "pixels": CONTROL,
        "sequence": CONTROL + rtl.MULTIPLIER,
        "constants": CONTROL,
        "load": PORTS + rtl.MULTIPLIER + rtl.MEMORY + rtl.EXP + rtl.MULTIPLIER + tree + 1,
        "scale": PORTS + scale,
        "normalise": PORTS + PRODUCT + rtl.SHIFTED + PRODUCT + 2,
        "multiply": PORTS + rtl.MULTIPLIER + rtl.MEMORY + rtl.MULTIPLIER + products + 2,
        "drain": PORTS + rtl.MEMORY + PRODUCT + rtl.REQUANTIZE + rtl.TABLE + rtl.GATE + tree + 1,
        "route": CONTROL + rtl.RECIPROCAL + PRODUCT,
        "results": CONTROL,
        "workspace": CONTROL,
    }


def depths(p: MachineParameters, waits: Mapping[str, int]) -> dict[str, int]:
    """Words of each FIFO.

    LOAD and MULTIPLY give what fills `addends`, `sums` and `slots` only against what was taken of it, so both
    FIFOs are as deep as the way there and back is long. Rows that wait for their scale find room in `raws`.
    """
    ahead = p.tile_slots + 3
    return {
        "loads": 2,
        "adds": ahead,
        "multiplies": ahead,
        "drains": ahead,
        "constant_jobs": 4,
        "constant_words": 16,
        "weights": 4,
        "image_addends": max(16, 2 * p.rows),
        "pixel_words": 4,
        "constant_blocks": 4,
        "tables": 4,
        "key_lists": 4,
        "raws": p.tile_words + waits["load"] + waits["scale"] + 4,
        "scale_requests": 2,
        "norm_scales": 4,
        "context_scales": (p.tile_slots + 1) * p.rows,
        "tiles": 4,
        "slots": p.tile_slots,
        "sums": waits["multiply"] + waits["drain"] + 4,
        "sums_taken": 4,
        "stores": 4,
        "operands": 4,
        "stored": 16,
        "addends": max(2 * p.rows, waits["load"] + waits["drain"] + 24),
        "outputs": 16,
        "logits": waits["drain"] + waits["route"] + 4,
        "logits_taken": 4,
        "load_entries": 16 + 4 * p.choices,
        "drain_entries": 16 + 4 * p.choices,
        "sequence_counts": 2,
        "fetch_counts": 2,
        "readings": 4,
        "closed": 4,
    }
