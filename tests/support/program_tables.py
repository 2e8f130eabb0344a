# SPDX-License-Identifier: Apache-2.0
"""Tables of random Programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from hlsgen.machine.format.commands import Drain
from hlsgen.machine.format.parameters import MachineParameters


def activation_entries(drawn: Any) -> np.ndarray:
    """Any table of activations as long as the machine's."""
    return drawn.random.integers(-128, 128, 1 << drawn.p.activation_bits).astype(np.int8)


def activated(p: MachineParameters) -> dict[str, int]:
    """Fields of a command whose results go through that table."""
    half = 1 << (p.activation_bits - 1)
    return {"drain": Drain.ACTIVATION, "low": -half, "high": half - 1}
