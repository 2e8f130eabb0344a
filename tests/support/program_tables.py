# SPDX-License-Identifier: Apache-2.0
"""Tables of random Programs: of activations, of exps of one digit or of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Drain
from hlsgen.machine.format.parameters import MachineParameters


def activation_entries(drawn: Any) -> np.ndarray:
    """Any table of activations as long as the machine's."""
    return drawn.random.integers(-128, 128, 1 << drawn.p.activation_bits).astype(np.int8)


def activated(p: MachineParameters) -> dict[str, int]:
    """Fields of a command whose results go through that table."""
    half = 1 << (p.activation_bits - 1)
    return {"drain": Drain.ACTIVATION, "low": -half, "high": half - 1}


def score_range(drawn: Any, adds: int) -> dict[str, int]:
    """The range of scores before their addends; without them that of logits, perhaps not the lowest one."""
    if not adds:
        return dict(
            zip(("low", "high"), numerics.logit_range(drawn.p.logit_bits, adds=drawn.chance()), strict=True)
        )
    low, high = ((-32768, 32767), (-32768, 99), (-90, 32767), (-511, 511))[drawn.number(0, 3)]
    return {"low": low, "high": high}


def exp_entries(p: MachineParameters) -> np.ndarray:
    """The exp table of a machine, the low digits first."""
    table = numerics.exp_table(1 / 40, p.logit_bits, 8 if p.numerator_digits == 1 else 12)
    return np.concatenate([table & 255, table >> 8])[: p.numerator_digits * len(table)].astype(np.uint8)


def high_digits(drawn: Any) -> int:
    """Whether exps have two digits; each then has whole words, as it has where D is at least C."""
    p = drawn.p
    return int(p.numerator_digits > 1 and p.depth >= p.columns and drawn.chance())
