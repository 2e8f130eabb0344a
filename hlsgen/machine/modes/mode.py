# SPDX-License-Identifier: Apache-2.0
"""What a mode is: one entry of a stage, whose code a command holds.

To add one: a value of the stage's enumeration, a file here, a line in `table.py`; then its C++ and its RTL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Generic, TypeVar

import numpy as np

from hlsgen.machine.format.commands import Command, Drain, Load, Product, Target
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.times import LoadTime, StageTimes

Code = TypeVar("Code", bound=IntEnum)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What one piece of hardware does, alone or as a part of several modes.

    Its meaning stands in the file here that declares it, its C++ in `templates/hls/{cpp}.hpp` and its RTL
    in `rtl/{rtl}.py`. reads: the fields of a command that it needs.
    """

    name: str
    cpp: str
    rtl: str
    reads: tuple[str, ...]


class Mode(ABC, Generic[Code]):
    """One entry: its code, what it does in a few words, the units that do it."""

    code: Code
    title: ClassVar[str]
    units: ClassVar[tuple[Unit, ...]]

    @property
    def name(self) -> str:
        """As commands' texts have it."""
        return self.code.name.lower()

    @property
    def reads(self) -> frozenset[str]:
        """The fields of a command that the mode needs."""
        return frozenset(name for unit in self.units for name in unit.reads)


class LoadMode(Mode[Load]):
    """How LOAD makes operand rows."""

    alone: ClassVar[bool] = False
    """The tiles before must be complete: the mode's pipeline is theirs with one more part."""
    takes_input: ClassVar[bool] = False
    """The command takes the input image from its stream."""

    @abstractmethod
    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        """The tile's words [rows, words, C]; `row` are the numbers of the command's rows in it."""

    @abstractmethod
    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        """How long the tile is read, and when it is there."""

    def setting(self, command: Command, job: Job) -> tuple[int, ...]:
        """What the mode's pipeline must be set to: another setting waits for the tiles before."""
        del command, job
        return ()

    def scale(self, command: Command, job: Job) -> tuple[int, ...] | None:
        """What the scale of contexts must be set to, as `setting`; None: the tile makes none."""
        del command, job
        return None


class ProductMode(Mode[Product]):
    """What MULTIPLY multiplies operand rows by, and the jobs that this makes of a command."""

    weighted: ClassVar[bool]
    """Blocks take weights from their stream; they leave after the sweep's, or head's, last tile."""
    constant: ClassVar[bool]
    """Each block takes constants from their stream, as it takes weights."""

    def weighs(self, job: Job) -> bool:
        """Whether the job's blocks take weights."""
        return self.weighted and job.kind != Kind.CONTEXT

    @abstractmethod
    def jobs(self, p: MachineParameters, command: Command) -> Iterator[Job]:
        """The command's jobs in the machine's order."""

    @abstractmethod
    def steps(self, command: Command) -> int:
        """Steps that MULTIPLY issues for the command: of all blocks of all jobs."""

    @abstractmethod
    def traffic(self, p: MachineParameters, command: Command) -> int:
        """Bytes from outside that the command is multiplied by, its constants included."""

    @abstractmethod
    def is_final(self, command: Command, job: Job) -> bool:
        """Whether the job's results are the tile's last ones: those of the last sweep or head."""

    @abstractmethod
    def begin(self, m: Memories, command: Command) -> None:
        """Before the command's first job: what it takes of the streams."""

    @abstractmethod
    def open(self, m: Memories, command: Command, job: Job) -> None:
        """Before a job: what its blocks are multiplied by is brought to its memory."""

    @abstractmethod
    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        """What operand rows are multiplied by for a block of the job: [elements, C]."""


class DrainMode(Mode[Drain]):
    """What DRAIN does with an accumulator row."""

    @abstractmethod
    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        """The results [rows, C] of a block's accumulators [rows, C]."""

    def place(self, m: Memories, command: Command, row: np.ndarray) -> np.ndarray:
        """The rows of the target that these rows of the command become."""
        del m, command
        return row

    def leaves(self, job: Job) -> bool:
        """Whether the results go to the command's target."""
        del job
        return True


class TargetMode(Mode[Target]):
    """Where DRAIN writes."""

    def begin(self, m: Memories) -> None:
        """Before the command's first job."""
        del m

    @abstractmethod
    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        """Write a block's words [rows, C] to rows `row` of the target."""

    def routed(self, p: MachineParameters, t: StageTimes, command: Command, drained: Sequence[int]) -> int:
        """When all tokens of tiles that were `drained` then are in the queues; 0: it routes none."""
        del p, t, command, drained
        return 0
