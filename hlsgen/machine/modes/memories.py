# SPDX-License-Identifier: Apache-2.0
"""The machine's memories while it executes one image: what modes read and write."""

from __future__ import annotations

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.constants import TABLE_ENTRIES, ConstantItem, Item, unpack_constants
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.key_runs import unpack_key_runs
from hlsgen.machine.format.norm_shifts import PART_ELEMENTS, WORD_ELEMENTS, unpack_shifts
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.runs import unpack_runs
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.queues import ExpertQueues
from hlsgen.machine.modes.streams import Streams
from hlsgen.machine.modes.workspace import Workspace


def _garbage(bits: int, *shape: int) -> np.ndarray:
    """Integers of so many bits: what a memory holds before anything is written.

    No result may depend on it, whatever it is; so it is not zero here.
    """
    half = 1 << (bits - 1)
    return np.random.default_rng(np.prod(shape)).integers(-half, half, shape)


class Memories:
    """Every memory, integers as they are in the machine; a word is the last axis, C elements.

    Parameters
    ----------
    parameters
        The machine's shape.
    image
        Its sections are the streams.
    pixels
        The input as `InputLayout.pack` makes it.
    """

    def __init__(self, parameters: MachineParameters, image: Image, pixels: bytes) -> None:
        p = self.p = parameters
        c, d = p.columns, p.depth
        self.streams = Streams(p, image)
        self.residual = _garbage(16, p.residual_words, c)
        self.features = _garbage(8, p.feature_words, c)
        self.keys = _garbage(8, p.key_words, c, c)
        """Keys [address, lane, element]: a lane is a key."""
        self.values = _garbage(8, p.value_words, d, c)
        """Values [address, lane, element]: a lane is a key."""
        self.workspace = Workspace(p)
        self.experts = ExpertQueues(p)
        self.scores = _garbage(p.logit_bits, p.score_slots, p.rows, p.score_words, c)
        self.maxima = np.zeros((p.score_slots, p.rows), np.int64)
        self.row_scale = np.zeros((p.score_slots, p.rows, 2), np.int64)
        self.activation = np.zeros((2, 1 << p.activation_bits), np.int64)
        self.exp = np.zeros((2, p.numerator_digits, 1 << p.logit_bits), np.int64)
        """Entries by bank and digit, the low one first."""
        self.lists = _garbage(31, p.list_words, 2)
        """Run lists, two runs a word."""
        self.key_lists = _garbage(31, p.key_list_words, 2)
        """Key lists: of each run where its keys lie, and where their values do."""
        self.norm_shifts = _garbage(3, p.norm_shift_words * WORD_ELEMENTS) & 7
        """Norm shifts, one behind another."""
        self.pixels = np.zeros((p.image_words, c), np.int64)
        words = np.frombuffer(pixels, np.int8)
        words = words[: len(words) // c * c].reshape(-1, c)[: p.image_words]
        self.pixels[: len(words)] = words
        self.constants = ConstantItem(*(np.zeros((0, c), np.int64) for _ in range(3)))
        """The constants of the command with weights that runs, [blocks, C]."""
        self.weights = np.zeros((0, 0, c), np.int64)
        """The weights of the sweep that runs, [blocks, elements, C]."""
        self.output: list[bytes] = []
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        """The addends that scores took last, by tile and block."""

    def load_constants(self) -> None:
        """A command's constants from their stream, after the tables before them."""
        while True:
            kind, bank, place, count, payload = self.streams.item()
            match kind:
                case Item.CONSTANTS:
                    self.constants = unpack_constants(payload, count, self.p.columns)
                    return
                case Item.ACTIVATION_TABLE:
                    first = place * TABLE_ENTRIES
                    self.activation[bank, first : first + count] = np.frombuffer(payload[:count], np.int8)
                case Item.EXP_TABLE:
                    self.exp[bank].reshape(-1)[:count] = np.frombuffer(payload[:count], np.uint8)
                case Item.GATE_TABLE:
                    self.experts.table[: count // 2] = np.frombuffer(payload[:count], "<u2")
                case Item.RUN_LIST | Item.KEY_LIST:
                    runs = np.frombuffer(payload[:count], "<u4").reshape(-1, 2)
                    lists = self.lists if kind == Item.RUN_LIST else self.key_lists
                    lists[place : place + len(runs)] = runs
                case Item.NORM_SHIFTS:
                    shifts = unpack_shifts(payload[:count])
                    first = place * PART_ELEMENTS
                    self.norm_shifts[first : first + len(shifts)] = shifts
                case _:
                    raise UsageError(f"Image: unknown constant item {kind}")

    def score_addends(self, command: Command, job: Job, block: int, rows: int) -> np.ndarray:
        """The addends [rows, C] of a block of scores: of the stream, or those that the first head had."""
        if command.takes_addends(job.head):
            self._kept[job.tile, block] = self.streams.addends(rows)
        return self._kept[job.tile, block]

    def operand_rows(self, memory: np.ndarray, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        """The job's part of rows of the residual or the feature memory, [rows, k_words, C]."""
        start = command.source + command.source_word + job.head * command.outer_source
        if command.list_base:
            return self._listed_rows(memory[start:], command, row)
        return memory[start + row[:, None] * command.source_stride + np.arange(command.k_words)]

    def _listed_rows(self, memory: np.ndarray, command: Command, row: np.ndarray) -> np.ndarray:
        """Rows of pieces that lie where the command's run list says; `memory` begins at the source."""
        pieces = command.k_words // command.piece_words
        runs = self.lists[command.list_base - 1 :].reshape(-1)
        count = int(row[-1] + 1) * pieces
        places, zeros = unpack_runs(runs[:count], count, command.source_stride, self.p.row_width)
        found = np.where(zeros, 0, places).reshape(-1, pieces)[row]
        words = memory[found[:, :, None] + np.arange(command.piece_words)]
        words[zeros.reshape(-1, pieces)[row]] = 0
        return words.reshape(len(row), command.k_words, -1)

    def listed(self, command: Command, job: Job, words: int, which: int) -> np.ndarray:
        """Where each block of keys (0), or step of values (1), of the job's tile lies, of so many words."""
        first = command.key_base + job.tile * command.key_runs
        return unpack_key_runs(self.key_lists[first : first + command.key_runs, which], words)

    def write_operands(
        self, command: Command, place: int, row: np.ndarray, word: int, value: np.ndarray, *, keys: bool
    ) -> None:
        """Word `word` of rows of the head at `place`, [rows, C], in the key or the value memory."""
        lanes, memory, stride = (
            (self.p.columns, self.keys, command.head_stride)
            if keys
            else (self.p.depth, self.values, command.value_stride)
        )
        words, lane = command.operand_row(row, lanes)
        memory[place * stride + words * command.head_words + word, lane] = value
