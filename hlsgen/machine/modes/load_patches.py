# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode patches: rows gathered from the image memory, after some rows of zeros."""

from __future__ import annotations

import math

import numpy as np

from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit
from hlsgen.machine.modes.times import LoadTime, StageTimes

PATCHES = Unit(
    name="load_patches",
    cpp="load_patches",
    rtl="load/patches",
    reads=(
        "k_words", "patch_height", "patch_width", "patch_channels", "patch_columns", "patch_prefix",
        "row_words",
    ),
)  # fmt: skip


def patch_reads(p: MachineParameters, command: Command) -> int:
    """Reads of a patch: as many pixels at once as divide its width and a word."""
    lines = command.patch_channels * command.patch_height
    return lines * (command.patch_width // math.gcd(command.patch_width, p.columns))


class PatchRows(LoadMode):
    """A patch a row: channel, row, column; elements beyond a patch are zero."""

    code = Load.PATCHES
    title = "rows gathered from the image memory"
    units = (PATCHES,)
    takes_input = True

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

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        rows = command.tile_rows(job.tile, p.rows)
        fresh = job.tile == job.first_block == 0
        first = t.patch_measure + command.patch_channels + command.patch_height if fresh else 0
        each = t.patch_row + patch_reads(p, command)
        blank = min(max(0, command.patch_prefix - job.tile * p.rows), rows)
        reads = blank * (t.patch_row + command.k_words) + (rows - blank) * each
        patch = max(0, job.tile * p.rows + rows - 1 - command.patch_prefix)
        band, column = divmod(patch, command.patch_columns)
        pixels = (band + 1) * command.patch_height * command.patch_channels * command.row_words
        waiting = min(column + 1, rows - blank)  # rows of the last one's band: all wait for the same pixels
        behind = t.patch_tile
        return LoadTime(
            first + reads + behind, t.rows - 1 - behind, pixels, t.pixel + waiting * each + behind
        )
