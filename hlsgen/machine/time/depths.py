# SPDX-License-Identifier: Apache-2.0
"""Bursts of the bus, depths of buffers and queues: what RTL and cycle model must both know."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters

CHANNELS = ("header", "commands", "pixels", "weights", "constants", "addends", "operands")
"""What the read master reads, in the order of turns. The last one only where attention is streamed."""
BEATS_UNDER_WAY = 128
NEAR_BEATS = 16
"""Depth of the buffers, and beats under way, in front of a memory on the chip: its latency covered."""
WEIGHT_BEATS = 256
JOBS_AHEAD = 8
"""Jobs that wait for a stage."""
COMMANDS_AHEAD = 8
"""Commands that wait for the sequencer, their sections asked for; where commands may be skipped."""
SETTLED = 8
"""Cycles for which no write of keys and values may be on its way before anything of them is read: more than
any register on that way."""


def burst_bytes(bus_bytes: int, near: bool = False) -> int:
    """Largest burst: 16 beats or 256 bytes, in front of a near memory 4 beats; divides 4096."""
    return max(SECTION_ALIGN, 4 * bus_bytes) if near else max(256, 16 * bus_bytes)


def outstanding(bus_bytes: int, near: bool = False) -> int:
    """Read bursts that may be under way: `BEATS_UNDER_WAY` or `NEAR_BEATS` beats.

    They cover the memory's latency; more would only let weights queue before what is needed sooner.
    """
    beats = NEAR_BEATS if near else BEATS_UNDER_WAY
    return max(2, beats * bus_bytes // burst_bytes(bus_bytes, near))


def channel_beats(p: MachineParameters, near: bool = False) -> Mapping[str, int]:
    """Beats that each channel buffers, in the order of `CHANNELS`, of those channels that the machine has.

    Pixels and weights can take all of the bus. The header's buffer holds all of it.
    """
    small = max(NEAR_BEATS if near else 64, 2 * burst_bytes(p.bus_bytes, near) // p.bus_bytes)
    large, weights = (small, small) if near else (max(small, BEATS_UNDER_WAY), WEIGHT_BEATS)
    beats = (SECTION_ALIGN // p.bus_bytes + 1, small, large, weights, small, small, large)
    return dict(zip(CHANNELS[: 7 if p.streamed else 6], beats, strict=False))


def images_held(near: bool = False) -> int:
    """Images that the machine holds: one that runs, one whose header is checked, and those that wait.

    A board whose memory is on the chip runs one image after another.
    """
    return 1 if near else 6


def queue_depth(p: MachineParameters) -> int:
    """Groups of rows in DRAIN's addend and output queues: four blocks of whole tiles, at least 16."""
    return max(16, 4 << (p.row_groups(p.rows) - 1).bit_length())


def route_pace(p: MachineParameters) -> int:
    """Logits of a token that are compared in a cycle."""
    return min(2, p.columns)
