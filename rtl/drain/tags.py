# SPDX-License-Identifier: Apache-2.0
"""What a row in DRAIN takes along: its tag, by the cycle since its group was selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import Module

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.combine import GateRows
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.parts.memories import delay_in_memory
from hlsgen.rtl.parts.pipeline import register

AT_REQUANTIZE = 1
AT_ENTRY = 2
"""The row's queue entry is known."""
ADDEND_LEAD = 2
"""Cycles from an addend's address to its use."""
MAXIMUM_LEAD = 5
"""A score tile counts as drained this many cycles before its maxima are in use, but not before this cycle."""


def at_result(p: MachineParameters) -> int:
    """The group's results are saturated and, in machines with experts, weighted."""
    return AT_REQUANTIZE + Requantize.latency + (GateRows.latency if p.experts else 0)


def at_write(p: MachineParameters) -> int:
    """The group is written."""
    return at_result(p) + Activation.latency + 1


def drain_tags(
    m: Module, p: MachineParameters, tag: Any, placed: Callable[[Any], Any], *, memory: bool
) -> dict[int, Any]:
    """Cycle to tag, from the first at which anything is read off it to `at_write`.

    `placed` adds to a tag what the queue entry tells, in machines with experts. With `memory` the tag waits
    in LUT memory where nobody looks at it.
    """
    if memory and not p.experts:
        first = min(at_result(p) - ADDEND_LEAD, MAXIMUM_LEAD)
        tags = {first: delay_in_memory(m, tag, first, name=f"tag_{first}")}
    else:
        first, tags = 1, {1: register(m, tag, name="tag_1")}
    for cycle in range(first + 1, at_write(p) + 1):
        before = tags[cycle - 1]
        found = placed(before) if p.experts and cycle == AT_ENTRY + 1 else before
        tags[cycle] = register(m, found, name=f"tag_{cycle}")
    return tags
