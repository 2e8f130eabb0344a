# SPDX-License-Identifier: Apache-2.0
"""The words at the trace ports of the traced top, as records; for cocotb."""

from __future__ import annotations

from typing import Any

import numpy as np
from cocotb.triggers import FallingEdge

from .interface import TRACE_PORTS, TRACES, record_type


class Recorder:
    """The words that the trace ports show, each with the cycle in which it was seen.

    A port shows a word of each row of a group at once; its `valid` has a bit for each row.

    Parameters
    ----------
    dut
        The traced top.
    columns
        Elements of a word.
    """

    def __init__(self, dut: Any, columns: int) -> None:
        self._dut, self._type = dut, record_type(columns)
        self._records: list[np.ndarray] = []
        self._valids = [getattr(dut, f"{name}_valid") for name in TRACES]

    async def run(self) -> None:
        """Look at every cycle; the trace ports come from registers."""
        cycle = 0
        while True:
            await FallingEdge(self._dut.clk)
            cycle += 1
            self.look(cycle)

    def look(self, cycle: int) -> None:
        """Keep what the ports show now."""
        for which, valid in enumerate(self._valids):
            shown = int(valid.value)
            for index in range(shown.bit_length()):
                if shown >> index & 1:
                    self._records.append(self._record(which, index, cycle))

    def _record(self, which: int, index: int, cycle: int) -> np.ndarray:
        """Row `index` of the group that is shown."""
        record = np.zeros((), self._type)
        record["which"], record["cycle"] = which, cycle
        for name in TRACE_PORTS:
            record[name] = int(getattr(self._dut, f"{TRACES[which]}_{name}").value)
        data = getattr(self._dut, f"{TRACES[which]}_data").value
        words = np.frombuffer(int(data).to_bytes(len(data) // 8, "little"), "<i2")
        record["data"] = words.reshape(-1, *self._type["data"].shape)[index]
        record["row"] += index
        return record

    def records(self) -> np.ndarray:
        """All of them, in order."""
        return np.array(self._records, self._type)
