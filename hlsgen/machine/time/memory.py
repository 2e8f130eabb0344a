# SPDX-License-Identifier: Apache-2.0
"""The memory behind the bus, as the cycle model sees it."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.time.latency import IMAGE_ROM


@dataclass(frozen=True, kw_only=True)
class ExternalMemory:
    """The external memory: cycles from a request to its first beat, and between beats on average.

    near: it is on the chip, and the RTL was made for that.
    """

    latency: int = 32
    cycles_per_beat: float = 1.0
    near: bool = False


ON_CHIP = ExternalMemory(latency=IMAGE_ROM, near=True)
"""The Image in block RAM, as on boards without external memory."""


def board_memory(image: str) -> ExternalMemory:
    """The memory of a board whose Image lies `on_chip` or `external`."""
    return ON_CHIP if image == "on_chip" else ExternalMemory()
