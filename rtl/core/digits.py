# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY's walk through the two digits of a row of exps."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, Value


def walk_digits(m: Module, stage: Any, job: Any, load: Value, block: Value) -> None:
    """The low digits of a row of exps lie behind the high ones, and meet the same values.

    block: where the values of the block begin.
    """
    left, turns, new = Signal.like(job.digit_steps, reset_less=True), Signal(), stage.jobs.payload
    with m.If(stage.issue):
        m.d.sync += [left.eq(left - 1), turns.eq(left == 2), stage.low.eq(turns & ~stage.last)]
        with m.If(turns & ~stage.last):
            m.d.sync += stage.operand_address.eq(block)
        with m.If(turns | stage.last):
            m.d.sync += [left.eq(job.digit_steps), turns.eq(stage.last & (job.digit_steps == 1))]
    with m.If(load):
        m.d.sync += [left.eq(new.digit_steps), turns.eq(new.digit_steps == 1), stage.low.eq(0)]
