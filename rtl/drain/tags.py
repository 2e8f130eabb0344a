# SPDX-License-Identifier: Apache-2.0
"""What a row in DRAIN takes along: its tag, by the cycle since its group was selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import Module

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import (
    ADDEND_LEAD,
    MAXIMUM_LEAD,
    QUEUE_ENTRY,
    drain_result,
    drain_write,
    scores_drained,
)
from hlsgen.rtl.parts.memories import delay_in_memory
from hlsgen.rtl.parts.pipeline import register


def drain_tags(
    m: Module, p: MachineParameters, tag: Any, placed: Callable[[Any], Any], *, memory: bool
) -> dict[int, Any]:
    """Cycle to tag, from the first at which anything is read off it to the last.

    `placed` adds to a tag what the queue entry tells, in machines with experts. With `memory` the tag waits
    in LUT memory where nobody looks at it.
    """
    if memory and not p.experts:
        first = min(drain_result(p) - ADDEND_LEAD, MAXIMUM_LEAD)
        tags = {first: delay_in_memory(m, tag, first, name=f"tag_{first}")}
    else:
        first, tags = 1, {1: register(m, tag, name="tag_1")}
    for cycle in range(first + 1, max(drain_write(p), scores_drained(p)) + 1):
        before = tags[cycle - 1]
        found = placed(before) if p.experts and cycle == QUEUE_ENTRY + 1 else before
        tags[cycle] = register(m, found, name=f"tag_{cycle}")
    return tags
