# SPDX-License-Identifier: Apache-2.0
"""The machine's interface for the benches. In a build folder the imported file itself lies in this place."""

from __future__ import annotations

from hlsgen.machine.format.interface import (
    COUNTERS,
    TRACE_PORTS,
    TRACES,
    ControlBit,
    Header,
    Register,
    StatusBit,
    record_type,
)

__all__ = [
    "COUNTERS",
    "TRACES",
    "TRACE_PORTS",
    "ControlBit",
    "Header",
    "Register",
    "StatusBit",
    "record_type",
]
