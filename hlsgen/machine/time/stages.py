# SPDX-License-Identifier: Apache-2.0
"""What a machine's stages take as a whole, in the cycle model's terms: sums of the RTL's latencies."""

from __future__ import annotations

from hlsgen.machine.format.multipliers import find_target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.times import StageTimes
from hlsgen.machine.time import latency
from hlsgen.machine.time.depths import route_pace


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
        list_start=latency.LIST_START,
        row_spacing=latency.NORM_ROW_CYCLES,
        select=latency.STEP + latency.array(p, style) + latency.SELECT,
        drain=latency.STEP + latency.array(p, style) + latency.SELECT + write,
        patch_measure=latency.PATCH_MEASURE,
        patch_tile=latency.PATCH_TILE,
        patch_row=latency.PATCH_ROW,
        pixel=latency.PIXEL,
        route=latency.ROUTE,
        route_all=latency.ROUTE_ALL,
        route_pace=route_pace(p),
        read_drained=drained - latency.LOAD_LEAD + latency.ACCEPT,
        read_scores=latency.scores_drained(p) - write + drained + latency.ACCEPT,
        operands_drained=drained - latency.OPERAND_LEAD + latency.OPERANDS_THERE,
    )
