# SPDX-License-Identifier: Apache-2.0
"""Executes a Program command by command on the machine's memories, job by job, from the Image's bytes.

It knows nothing of the Graph: it reads the same bytes as the hardware, in the same order, and writes the
same trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen import numerics
from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import COMMAND_BYTES, Command, Drain, Load, Product, Target
from hlsgen.machine.format.constants import (
    HEADER,
    ConstantItem,
    Item,
    payload_words,
    unpack_constants,
    word_bytes,
)
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import CONTEXT, DRAIN, SCORES, TILE, record_type
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.format.program import pad
from hlsgen.machine.run.jobs import Job, jobs
from hlsgen.machine.run.queues import ExpertQueues
from hlsgen.machine.run.workspace import Workspace


@dataclass(frozen=True)
class Execution:
    """What one image left: the output's bytes and, if asked for, the trace records in order.

    expert_tokens: of each expert number, over all layers, as the machine counts them.
    """

    output: bytes
    records: np.ndarray
    expert_tokens: tuple[int, ...] = ()


class Interpreter:
    """The machine in NumPy.

    Parameters
    ----------
    parameters
        The machine's shape.
    image
        The packed Image.
    """

    def __init__(self, parameters: MachineParameters, image: bytes) -> None:
        self.parameters = parameters
        self._image = Image.unpack(image)
        if self._image.build_id != parameters.build_id:
            raise UsageError(
                f"Image must have build id {parameters.build_id:#x}, not {self._image.build_id:#x}"
            )
        size = len(self._image.program) // COMMAND_BYTES
        slices = (self._image.program[i * COMMAND_BYTES : (i + 1) * COMMAND_BYTES] for i in range(size))
        commands = [Command.unpack(data) for data in slices if any(data)]
        end = next((i for i, command in reversed(list(enumerate(commands))) if command.last), None)
        if end is None:
            raise UsageError("Image must hold a program with a last command")
        self.commands = tuple(commands[: end + 1])

    def run(self, pixels: bytes, trace: bool = True, task: int = 0) -> Execution:
        """Execute the program for one input as `InputLayout.pack` makes it."""
        if not 0 <= task < self.parameters.tasks:
            raise UsageError(f"task must be in 0..{self.parameters.tasks - 1}, not {task!r}")
        run = _Run(self.parameters, self._image, pixels, trace)
        for index, command in enumerate(self.commands):
            if run.begin(command, task):
                run.execute(index, command)
                if command.last:
                    break
        records = np.concatenate(run.records) if run.records else np.zeros(0, run.record_type)
        tokens = tuple(int(count) for count in run.experts.tokens)
        return Execution(pad(b"".join(run.output)), records, tokens)


class _Run:
    """The memories and streams of one image."""

    def __init__(self, parameters: MachineParameters, image: Image, pixels: bytes, trace: bool) -> None:
        p = self.p = parameters
        c, d = p.columns, p.depth
        self.residual = np.zeros((p.residual_words, c), np.int64)
        self.features = np.zeros((p.feature_words, c), np.int64)
        self.keys = np.zeros((p.key_words, c, c), np.int64)  # address, lane, element
        self.values = np.zeros((p.value_words, d, c), np.int64)
        self.workspace = Workspace(p)
        self.experts = ExpertQueues(p)
        self._next_weights = self._next_constants = 0
        self.scores = np.zeros((2, p.rows, p.score_words, c), np.int64)
        self.maxima = np.zeros((2, p.rows), np.int64)
        self.row_scale = np.zeros((2, p.rows, 2), np.int64)
        self.activation = np.zeros((2, 256), np.int64)
        self.exp = np.zeros((2, 1 << p.logit_bits), np.int64)
        self.pixels = np.zeros((p.image_words, c), np.int64)
        words = np.frombuffer(pixels, np.int8)
        words = words[: len(words) // c * c].reshape(-1, c)[: p.image_words]
        self.pixels[: len(words)] = words
        self._constants, self._constant_at = image.constants, 0
        self._weights = np.frombuffer(image.weights, np.int8)
        self._weight_at = 0
        self._addends = np.frombuffer(image.addends, "<i2")
        self._addend_at = 0
        self.output: list[bytes] = []
        self.record_type = record_type(c)
        self._trace = trace
        self.records: list[np.ndarray] = []

    # -- streams -----------------------------------------------------------------------------------------

    def begin(self, command: Command, task: int) -> bool:
        """Whether the command runs; a machine that may skip it finds its part of the streams by its size."""
        if self.p.planned:
            self._weight_at, self._constant_at = self._next_weights, self._next_constants
            self._next_weights += command.weight_units * SECTION_ALIGN
            self._next_constants += command.constant_units * SECTION_ALIGN
        return command.runs_for(task) and (not command.expert or bool(self.experts.queue(command)))

    def _constant_words(self, count: int) -> bytes:
        size = count * word_bytes(self.p.columns)
        words = self._constants[self._constant_at : self._constant_at + size]
        self._constant_at += size
        return words

    def _read_constants(self) -> ConstantItem:
        """One command's constants [blocks, C], after loading the tables before them."""
        while True:
            kind, bank, _, count, _ = HEADER.unpack_from(self._constant_words(1))
            payload = self._constant_words(payload_words(kind, count, self.p.columns))
            if kind == Item.CONSTANTS:
                return unpack_constants(payload, count, self.p.columns)
            data = payload[:count]
            if kind == Item.ACTIVATION_TABLE:
                self.activation[bank] = np.frombuffer(data, np.int8)
            elif kind == Item.EXP_TABLE:
                self.exp[bank, :count] = np.frombuffer(data, np.uint8)
            elif kind == Item.GATE_TABLE:
                self.experts.table[: count // 2] = np.frombuffer(data, "<u2")
            else:
                raise UsageError(f"Image: unknown constant item {kind}")

    def _read_weights(self, blocks: int, steps: int) -> np.ndarray:
        """Ring words of one group: [blocks, steps * D, C]."""
        size = blocks * steps * self.p.depth * self.p.columns
        words = self._weights[self._weight_at : self._weight_at + size].astype(np.int64)
        self._weight_at += size
        return words.reshape(blocks, steps * self.p.depth, self.p.columns)

    def _read_addends(self, rows: int) -> np.ndarray:
        size = self.p.padded_rows(rows) * self.p.columns
        words = self._addends[self._addend_at : self._addend_at + size].astype(np.int64)
        self._addend_at += size
        return words.reshape(-1, self.p.columns)[:rows]

    # -- jobs --------------------------------------------------------------------------------------------

    def execute(self, index: int, command: Command) -> None:
        """Run one command to its end."""
        if command.expert:
            command = command.with_rows(len(self.experts.queue(command)), self.p.rows)
        if command.target is Target.QUEUES:
            self.experts.start()
        attention = command.product is Product.ATTENTION
        constants = None if attention else self._read_constants()
        weights = np.zeros(0)
        for job in jobs(command):
            if not attention and job.tile == 0:
                weights = self._read_weights(job.blocks, command.k_steps)
            if job.opens:
                self._read_operands(command, job)
            rows = command.tile_rows(job.tile, self.p.rows)
            tile = self._load(command, job, rows)
            self._emit(index, TILE, job, tile, 0)
            operand = tile.reshape(rows, -1)
            for b in range(job.blocks):
                stationary = self._stationary(command, job, b) if attention else weights[b]
                steps = stationary.shape[0]
                padded = np.zeros((rows, max(steps, operand.shape[1])), np.int64)
                padded[:, : operand.shape[1]] = operand
                acc = padded[:, :steps] @ stationary
                where = job.first_block + b
                word = self._drain(command, job, where, acc, constants)
                self._emit(index, DRAIN, job, word[:, None, :], where)

    def _emit(self, index: int, which: int, job: Job, words: np.ndarray, first: int) -> None:
        """Append trace records of words [rows, count, C]."""
        if not self._trace:
            return
        rows, count, _ = words.shape
        records = np.zeros((rows, count), self.record_type)
        records["which"], records["kind"], records["head"] = which, job.kind, job.head
        records["command"] = index
        records["row"] = (job.tile * self.p.rows + np.arange(rows))[:, None]
        records["word"] = first + np.arange(count)[None, :]
        records["data"] = words
        self.records.append(records.reshape(-1))

    # -- LOAD --------------------------------------------------------------------------------------------

    def _load(self, command: Command, job: Job, rows: int) -> np.ndarray:
        """The tile's words [rows, words, C]."""
        if job.kind == CONTEXT:
            return self._load_exp(command, job, rows)
        row = job.tile * self.p.rows + np.arange(rows)
        if command.load is Load.PATCHES:
            return self._load_patches(command, row)
        if command.load in (Load.POOL, Load.POOL_NORM):
            pooled = command.load is Load.POOL
            words = self._rows(self.residual, command, np.arange(command.pool_rows), 0).sum(0, keepdims=True)
            limit = (-128, 127) if pooled else (-(1 << 15), (1 << 15) - 1)
            words = numerics.saturate(numerics.round_shift(words, command.pool_shift), *limit)
            return words if pooled else self._normalise(command, words)
        if command.gather:
            row = self._tokens(command, row)
        if command.load is Load.LAYER_NORM:
            return self._normalise(command, self._rows(self.residual, command, row, 0))
        return self._rows(self.features, command, row, job.head * command.head_words)

    def _tokens(self, command: Command, row: np.ndarray) -> np.ndarray:
        """The tokens of some entries of the command's queue."""
        queue = self.experts.queue(command)
        return np.array([queue[index].token for index in row])

    def _rows(self, memory: np.ndarray, command: Command, row: np.ndarray, offset: int) -> np.ndarray:
        address = command.source + row[:, None] * command.source_stride + offset + np.arange(command.k_words)
        return memory[address]

    def _normalise(self, command: Command, words: np.ndarray) -> np.ndarray:
        flat = words.reshape(len(words), -1)
        result = np.zeros_like(flat)
        width = command.norm_width
        result[:, :width] = numerics.layer_norm(
            flat[:, :width], command.norm_epsilon, command.norm_gain, command.norm_gain_shift
        )
        return result.reshape(words.shape)

    def _load_patches(self, command: Command, rows: np.ndarray) -> np.ndarray:
        c = self.p.columns
        height, width = command.patch_height, command.patch_width
        element = np.arange(command.k_words * c)
        channel, y, x = element // (height * width), element // width % height, element % width
        patch = (rows - command.patch_prefix)[:, None]
        line = (patch // command.patch_columns * height + y) * command.patch_channels + channel
        pixel = patch % command.patch_columns * width + x
        real = (patch >= 0) & (channel < command.patch_channels)
        address = np.where(real, line * command.row_words + pixel // c, 0)
        words = np.where(real, self.pixels[address, pixel % c], 0)
        return words.reshape(len(rows), command.k_words, c)

    def _load_exp(self, command: Command, job: Job, rows: int) -> np.ndarray:
        words = np.zeros((rows, command.exp_words * self.p.columns), np.int64)
        logits = self.scores[job.slot, :rows].reshape(rows, -1)[:, : command.keys]
        difference = self.maxima[job.slot, :rows, None] - logits
        words[:, : command.keys] = self.exp[command.exp_bank][difference]
        multiplier, shift = numerics.context_scale(
            words.sum(-1), command.context_multiplier, command.context_shift
        )
        self.row_scale[job.slot, :rows] = np.stack([multiplier, shift], -1)
        return words.reshape(rows, command.exp_words, self.p.columns)

    # -- MULTIPLY ----------------------------------------------------------------------------------------

    def _stationary(self, command: Command, job: Job, block: int) -> np.ndarray:
        """Keys or values of one block: [elements, C]."""
        c, d = self.p.columns, self.p.depth
        if job.kind == SCORES:
            start = job.place * command.head_stride + block * command.head_words
            lanes = self.keys[start : start + command.head_words]  # word, lane, element
            return lanes.transpose(0, 2, 1).reshape(command.head_words * c, c)
        start = job.place * command.value_stride + block
        lanes = self.values[start : start + command.exp_steps * command.head_words : command.head_words]
        return lanes.reshape(command.exp_steps * d, c)

    def _read_operands(self, command: Command, job: Job) -> None:
        """Keys, or values, of a head from external memory to the place that the job reads."""
        keys = job.kind == SCORES
        rows = self.workspace.read(Target.KEYS if keys else Target.VALUES, command, job.head)
        for word in range(command.head_words):
            self._write_operands(command, job.place, np.arange(len(rows)), word, rows[:, word], keys)

    def _write_operands(
        self, command: Command, place: int, row: np.ndarray, word: int, value: np.ndarray, keys: bool
    ) -> None:
        """Word `word` of rows of a head in the key or the value memory."""
        lanes, memory, stride = (
            (self.p.columns, self.keys, command.head_stride)
            if keys
            else (self.p.depth, self.values, command.value_stride)
        )
        memory[place * stride + row // lanes * command.head_words + word, row % lanes] = value

    # -- DRAIN -------------------------------------------------------------------------------------------

    def _drain(
        self, command: Command, job: Job, block: int, acc: np.ndarray, constants: ConstantItem | None
    ) -> np.ndarray:
        """Write one block's words [rows, C] and return them."""
        if constants is None:
            return (
                self._drain_scores(command, job, block, acc)
                if job.kind == SCORES
                else self._drain_context(command, job, block, acc)
            )
        rows = len(acc)
        value = numerics.requantize(
            acc + constants.bias[block],
            constants.multiplier[block],
            constants.shift[block],
            command.low,
            command.high,
        )
        row = job.tile * self.p.rows + np.arange(rows)
        if command.drain is Drain.ACTIVATION:
            value = self.activation[command.activation_bank][value + 128]
        elif command.drain is Drain.COMBINE:
            value, row = self._combine(command, row, block, value)
        elif command.drain is Drain.ADD:
            if command.stream_addend:
                addend = self._read_addends(rows)
            else:
                addend = self.residual[command.addend_base + row * command.target_stride + block]
            value = numerics.saturate(value + addend, -(1 << 15), (1 << 15) - 1)
        self._write(command, job, row, block, value)
        return value

    def _combine(
        self, command: Command, row: np.ndarray, block: int, value: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The weighted results on their tokens' rows, and those tokens."""
        entries = [self.experts.queue(command)[index] for index in row]
        token, gate = (np.array([getattr(entry, name) for entry in entries]) for name in ("token", "gate"))
        base = np.where([entry.first for entry in entries], command.addend_base, command.target_base)
        total = self.residual[base + token * command.target_stride + block]
        return numerics.gated_add(total, value, gate[:, None], command.gate_shift), token

    def _write(self, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray) -> None:
        if command.target in (Target.FEATURES, Target.RESIDUAL):
            memory = self.features if command.target is Target.FEATURES else self.residual
            memory[command.target_base + row * command.target_stride + block] = value
        elif command.target is Target.QUEUES:
            self.experts.logits(command, row, block, value)
        elif command.target is Target.OUTPUT:
            words = np.zeros((self.p.padded_rows(len(value)), self.p.columns), "<i2")
            words[: len(value)] = value
            self.output.append(words.tobytes())
        elif self.p.streamed:
            last = job.tile == command.tiles - 1 and block % command.head_words == command.head_words - 1
            self.workspace.write(command.target, value, first=job.tile == block == 0, last=last)
        else:
            head, word = divmod(block, command.head_words)
            self._write_operands(command, head, row, word, value, command.target is Target.KEYS)

    def _drain_scores(self, command: Command, job: Job, block: int, acc: np.ndarray) -> np.ndarray:
        half = 1 << (self.p.logit_bits - 1)
        value = numerics.requantize(acc, command.logit_multiplier, command.logit_shift, -half, half - 1)
        rows = len(acc)
        self.scores[job.slot, :rows, block] = value
        valid = block * self.p.columns + np.arange(self.p.columns) < command.keys
        largest = np.where(valid, value, -half).max(-1)
        previous = self.maxima[job.slot, :rows] if block else np.full(rows, -half)
        self.maxima[job.slot, :rows] = np.maximum(previous, largest)
        return value

    def _drain_context(self, command: Command, job: Job, block: int, acc: np.ndarray) -> np.ndarray:
        rows = len(acc)
        multiplier, shift = self.row_scale[job.slot, :rows].T
        value = numerics.requantize(acc, multiplier[:, None], shift[:, None], -128, 127)
        row = job.tile * self.p.rows + np.arange(rows)
        where = command.target_base + row * command.target_stride + job.head * command.head_words + block
        self.features[where] = value
        return value
