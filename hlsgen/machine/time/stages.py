# SPDX-License-Identifier: Apache-2.0
"""What a machine's stages take as a whole, in the cycle model's terms: sums of the RTL's latencies."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.format.multipliers import find_target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time import latency


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Cycles from one event to another; a tile is there in the cycle in which MULTIPLY may issue its step.

    rows: the last read of rows, exp or patches to the tile there. norm: a layer norm row's last read to its
    first word in the tile. pool, pool_norm: the last read to the tile's first word.
    row_spacing: least cycles between two rows of layer norm.
    drain: a block's last step to its first group's write.
    read_drained: a tile's last write to LOAD's first read of it. read_scores: the same for scores, from the
    write that a tile of rows would have. operands_drained: a command's last write to MULTIPLY's first step
    with its keys or values.
    """

    rows: int
    norm: int
    pool: int
    pool_norm: int
    row_spacing: int
    drain: int
    read_drained: int
    read_scores: int
    operands_drained: int


def stage_times(p: MachineParameters, target: str = "generic") -> StageTimes:
    """The times of a machine's RTL for a target."""
    style = find_target(target).array_style(p.rows, p.columns)
    read = latency.REQUEST + latency.MEMORY
    drained, write = latency.DRAINED, latency.drain_write(p)
    wait = latency.scale_wait(p, style)
    return StageTimes(
        rows=latency.REQUEST + latency.FIXED + latency.TILE_WRITE + wait + latency.TILE_COUNT,
        norm=read + latency.norm(p) + latency.TILE_WRITE,
        pool=read + latency.pool() + latency.TILE_WRITE,
        pool_norm=read + latency.pool() + latency.norm(p) + latency.TILE_WRITE,
        row_spacing=latency.NORM_ROW_CYCLES,
        drain=latency.STEP + latency.array(p, style) + latency.SELECT + write,
        read_drained=drained - latency.LOAD_LEAD + latency.ACCEPT,
        read_scores=latency.scores_drained(p) - write + drained + latency.ACCEPT,
        operands_drained=drained - latency.OPERAND_LEAD + latency.OPERANDS_THERE,
    )
