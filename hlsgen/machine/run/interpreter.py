# SPDX-License-Identifier: Apache-2.0
"""Executes a Program command by command on the machine's memories, job by job, from the Image's bytes.

It knows nothing of the Graph: it reads the same bytes as the hardware, in the same order, and writes the
same trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import COMMAND_BYTES, Command
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.input import pad
from hlsgen.machine.format.interface import CONTEXT, DRAIN, PLAIN, TILE, record_type
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.table import DRAINS, LOADS, PRODUCTS, TARGETS


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
        tokens = tuple(int(count) for count in run.memories.experts.tokens)
        return Execution(pad(b"".join(run.memories.output)), records, tokens)


class _Run:
    """One image on the machine's memories."""

    def __init__(self, parameters: MachineParameters, image: Image, pixels: bytes, trace: bool) -> None:
        self.p = parameters
        self.memories = Memories(parameters, image, pixels)
        self.record_type = record_type(parameters.columns)
        self._trace = trace
        self.records: list[np.ndarray] = []

    def begin(self, command: Command, task: int) -> bool:
        """Whether the command runs; a machine that may skip it finds its part of the streams by its size."""
        self.memories.streams.begin(command)
        return command.runs_for(task) and (not command.expert or bool(self.memories.experts.queue(command)))

    def execute(self, index: int, command: Command) -> None:
        """Run one command to its end."""
        m = self.memories
        if command.expert:
            command = command.with_rows(len(m.experts.queue(command)), self.p.rows)
        product = PRODUCTS[command.product]
        TARGETS[command.target].begin(m)
        product.begin(m, command)
        for job in product.jobs(self.p, command):
            product.open(m, command, job)
            row = job.tile * self.p.rows + np.arange(command.tile_rows(job.tile, self.p.rows))
            tile = LOADS[command.load].tile(m, command, job, row)
            self._emit(index, TILE, job, tile, 0)
            operand = tile.reshape(len(row), -1)
            for block in range(job.blocks):
                acc = _product(
                    self._taken(command, job, operand, block), product.block(m, command, job, block)
                )
                self._drain(index, command, job, row, job.first_block + block, acc)

    def _taken(self, command: Command, job: Job, operand: np.ndarray, block: int) -> np.ndarray:
        """The elements of the operand rows that a block reads, in the order of its steps."""
        if job.kind == CONTEXT or not (command.tap_steps or command.advance):
            return operand
        steps = command.steps_read(block)
        wide = (steps.max() + 1) * self.p.depth
        padded = np.zeros((len(operand), max(wide, operand.shape[1])), operand.dtype)
        padded[:, : operand.shape[1]] = operand
        elements = steps[:, None] * self.p.depth + np.arange(self.p.depth)
        return padded[:, elements.ravel()]

    def _drain(
        self, index: int, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> None:
        """What becomes of a block's accumulators [rows, C]."""
        m, drain = self.memories, DRAINS[command.drain]
        value = drain.result(m, command, job, row, block, acc)
        if drain.leaves(job):
            TARGETS[command.target].write(m, command, job, drain.place(m, command, row), block, value)
        self._emit(index, DRAIN, job, value[:, None, :], block)

    def _emit(self, index: int, which: int, job: Job, words: np.ndarray, first: int) -> None:
        """Append trace records of words [rows, count, C]."""
        if not self._trace:
            return
        rows, count, _ = words.shape
        records = np.zeros((rows, count), self.record_type)
        records["which"], records["kind"] = which, job.kind
        if which == TILE or job.kind != PLAIN:  # a plain job's words go on from sweep to sweep
            records["head"] = job.head
        records["command"] = index
        records["row"] = (job.tile * self.p.rows + np.arange(rows))[:, None]
        records["word"] = first + np.arange(count)[None, :]
        records["data"] = words
        self.records.append(records.reshape(-1))


def _product(operand: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Operand rows [rows, elements] times factors [steps * D, C]; what either has beyond the other is 0."""
    steps = factors.shape[0]
    padded = np.zeros((len(operand), max(steps, operand.shape[1])), np.int64)
    padded[:, : operand.shape[1]] = operand
    return padded[:, :steps] @ factors
