# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode patches: rows gathered from the image memory, after some rows of zeros."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit

PATCHES = Unit(
    name="load_patches",
    cpp="load_patches",
    rtl="load/patches",
    reads=(
        "k_words", "patch_height", "patch_width", "patch_channels", "patch_columns", "patch_prefix",
        "row_words",
    ),
)  # fmt: skip


class PatchRows(LoadMode):
    """A patch a row: channel, row, column; elements beyond a patch are zero."""

    code = Load.PATCHES
    title = "rows gathered from the image memory"
    units = (PATCHES,)

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        del job
        c = m.p.columns
        height, width = command.patch_height, command.patch_width
        element = np.arange(command.k_words * c)
        channel, y, x = element // (height * width), element // width % height, element % width
        patch = (row - command.patch_prefix)[:, None]
        line = (patch // command.patch_columns * height + y) * command.patch_channels + channel
        pixel = patch % command.patch_columns * width + x
        real = (patch >= 0) & (channel < command.patch_channels)
        address = np.where(real, line * command.row_words + pixel // c, 0)
        words = np.where(real, m.pixels[address, pixel % c], 0)
        return words.reshape(len(row), command.k_words, c)
