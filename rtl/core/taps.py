# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY's walk through the parts of rows that blocks read."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value


def walk_taps(m: Module, stage: Any, job: Any, load: Value, start: Value) -> None:
    """Where blocks read parts of a row: from tap to tap, and from a block's first tap to the next one's.

    start: the first step of the slot that is read from the next block on.
    """
    left, tap_last = Signal.like(job.tap_steps, reset_less=True), Signal(reset_less=True)
    taps = Signal(reset_less=True)
    first, new = Signal.like(stage.tile_address), stage.jobs.payload
    following = Mux(stage.slot_freed, start, first + job.advance)
    with m.If(stage.issue):
        m.d.sync += [left.eq(left - 1), tap_last.eq(taps & (left == 2))]
        with m.If(tap_last):
            m.d.sync += stage.tile_address.eq(stage.tile_address + job.tap_jump)
        with m.If(tap_last | stage.last):
            m.d.sync += [left.eq(job.tap_steps), tap_last.eq(job.tap_steps == 1)]
        with m.If(stage.last):
            m.d.sync += [stage.tile_address.eq(following), first.eq(following)]
    with m.If(load):
        m.d.sync += [left.eq(new.tap_steps), tap_last.eq(new.tap_steps == 1), taps.eq(new.tap_steps != 0)]
