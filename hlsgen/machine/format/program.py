# SPDX-License-Identifier: Apache-2.0
"""The Program: commands, memory map, input and output layout, and where each graph tensor shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.input import InputLayout, pad
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters, ceil_div

FORMAT = "hlsgen program 2"
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Region:
    """A tensor's place in a memory, in words, alive from its first to its last command."""

    tensor: str
    memory: str
    base: int
    words: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class View:
    """How the trace records of one command show a graph tensor.

    which: 0 tile words (operand rows), 1 drained words (results). kind: 0 plain, 1 scores, 2 contexts.
    heads 0: [rows, columns]. heads > 0: `columns` elements per head, heads padded to `head_words` words;
    the tensor is [rows, heads*columns], or [heads, rows, columns] with `head_first`.

    expert > 0: the rows are those of expert `expert` - 1 by the routing `route`, in token order; the tensor
    has a row for each token, or for each token and choice. `final`: only tokens that no later expert has.

    part: the tensor is the part of the named one from `first_row`, `first_head` and, with `head_first`,
    `first_column` on.

    run > 0: of each `run` elements of a row the first `run_columns` are the tensor's.

    windows: the command's heads are windows, one behind the other: of the part of one head from `first_row`
    on, `heads` windows of `rows` rows each; with `head_first` as many columns of them, each its own.
    key_runs: the columns of each tile of `tile_rows` rows are those of its runs, one behind the other: tiles
    with semicolons between, runs with commas, a run as its first column + its columns. The tensor has `keys`
    columns; what lies behind them is `hidden`.
    pitch > 0: of each `pitch` rows of the command the first `pitch_rows` are the tensor's.
    digit_words > 0: so many words of a row have high digits, as many behind them the low ones.
    """

    tensor: str
    command: int
    which: int
    kind: int = 0
    rows: int
    columns: int
    heads: int = 0
    head_words: int = 0
    head_first: int = 0
    expert: int = 0
    route: str = ""
    final: int = 0
    run: int = 0
    run_columns: int = 0
    part: int = 0
    first_row: int = 0
    first_head: int = 0
    first_column: int = 0
    windows: int = 0
    pitch: int = 0
    pitch_rows: int = 0
    key_runs: str = ""
    tile_rows: int = 0
    keys: int = 0
    hidden: int = 0
    digit_words: int = 0


@dataclass(frozen=True, kw_only=True)
class Move:
    """A command that computes nothing of the model: it makes of `moved` what others read, as `tensor`.

    kind: copy, cast, transpose, ..., see `lower/moves.py`. reader: the results of the commands that read it,
    with commas between, or "output".
    """

    command: int
    kind: str
    tensor: str
    moved: str
    reader: str


@dataclass(frozen=True, kw_only=True)
class OutputLayout:
    """An output tensor [rows, columns] as int16 words in drain order: sweep, tile, block, row.

    The last tile has whole groups of rows; rows beyond the tensor are zero. The outputs of a run lie one
    behind the other in the order of their commands, without a gap.
    """

    tensor: str
    rows: int
    columns: int
    sweeps: int = 1
    name: str = ""
    """Of a run's outputs, where there are several."""
    start: int = 0
    """Integers of the run's outputs that lie before this one."""

    def size(self, parameters: MachineParameters) -> int:
        """Bytes, padded to 64."""
        return ceil_div(self.drained_size(parameters), SECTION_ALIGN) * SECTION_ALIGN

    def drained_size(self, parameters: MachineParameters) -> int:
        """Bytes that DRAIN gives, without padding at their end."""
        words = parameters.padded_rows(self.rows) * ceil_div(self.columns, parameters.columns)
        return words * parameters.columns * 2

    def pieces(self, parameters: MachineParameters) -> list[tuple[int, int, int, int]]:
        """What lies one after another in the output: of each piece (row, rows, column, columns).

        A piece is int16 [blocks, rows, lanes]: a tile's rows of the blocks of one sweep. Its rows and
        columns may go beyond the tensor's. Every reader of an output takes this list, or `places`.
        """
        lanes, total = parameters.columns, ceil_div(self.columns, parameters.columns)
        padded, found, block = parameters.padded_rows(self.rows), [], 0
        for sweep in range(self.sweeps):
            count = total // self.sweeps + (sweep < total % self.sweeps)
            for row in range(0, padded, parameters.rows):
                found.append((row, min(parameters.rows, padded - row), block * lanes, count * lanes))
            block += count
        return found

    def places(self, parameters: MachineParameters) -> np.ndarray:
        """int64 [rows, columns]: of each element the number of its int16 in this output."""
        lanes, start = parameters.columns, 0
        padded = parameters.padded_rows(self.rows)
        result = np.zeros((padded, ceil_div(self.columns, lanes) * lanes), np.int64)
        for row, rows, column, columns in self.pieces(parameters):
            numbers = np.arange(start, start + rows * columns).reshape(columns // lanes, rows, lanes)
            area = numbers.transpose(1, 0, 2).reshape(rows, columns)
            result[row : row + rows, column : column + columns] = area
            start += rows * columns
        return result[: self.rows, : self.columns]

    def pack(self, value: np.ndarray, parameters: MachineParameters) -> bytes:
        """The bytes that the machine writes for `value` where it is the only output; `unpack` reads them."""
        return pad(self.drained(value, parameters).tobytes())

    def drained(self, value: np.ndarray, parameters: MachineParameters) -> np.ndarray:
        """int16 in drain order without padding at their end: of an output, and of a command's addends."""
        columns = ceil_div(self.columns, parameters.columns) * parameters.columns
        words = np.zeros(parameters.padded_rows(self.rows) * columns, "<i2")
        words[self.places(parameters)] = value.reshape(self.rows, self.columns)
        return words

    def unpack(self, data: bytes, parameters: MachineParameters) -> np.ndarray:
        """int64 [rows, columns] from the bytes that the machine wrote in a run."""
        words = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
        return words[self.start + self.places(parameters)].astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What one machine executes for one model."""

    parameters: MachineParameters
    commands: tuple[Command, ...]
    regions: tuple[Region, ...]
    views: tuple[View, ...]
    input: InputLayout
    outputs: tuple[OutputLayout, ...]
    """Those of a run, task by task."""
    task_macs: tuple[int, ...]
    """Useful multiply-accumulates per image and task: those of the mathematical model, no padding."""
    moves: tuple[Move, ...] = ()
    """The commands that are no product of the model, in order."""

    @property
    def output(self) -> OutputLayout:
        """The first output of the first task."""
        return self.outputs[0]

    def results(self, task: int = 0) -> tuple[OutputLayout, ...]:
        """The outputs of a run for `task`, in the order of their names."""
        each = len({layout.name for layout in self.outputs})
        return self.outputs[task * each : (task + 1) * each]

    @property
    def runs(self) -> tuple[tuple[OutputLayout, ...], ...]:
        """`results` of every task."""
        return tuple(self.results(task) for task in range(len(self.task_macs)))

    def drained_size(self, task: int = 0) -> int:
        """Bytes that DRAIN gives in a run, without padding at their end."""
        p = self.parameters
        return max((2 * item.start + item.drained_size(p) for item in self.results(task)), default=0)

    @property
    def output_bytes(self) -> int:
        """Bytes of the output of any run, padded to 64."""
        most = max(self.drained_size(task) for task in range(len(self.task_macs)))
        return ceil_div(most, SECTION_ALIGN) * SECTION_ALIGN

    def pack_outputs(self, values: Sequence[np.ndarray], task: int = 0) -> bytes:
        """What the machine writes in a run, for the values of `results(task)`; padded to `output_bytes`."""
        region = np.zeros(self.output_bytes // 2, "<i2")
        for layout, value in zip(self.results(task), values, strict=True):
            words = layout.drained(value, self.parameters)
            region[layout.start : layout.start + len(words)] = words
        return region.tobytes()

    def unpack_outputs(self, data: bytes, task: int = 0) -> tuple[np.ndarray, ...]:
        """int64 [rows, columns] of each of `results(task)` from the bytes that the machine wrote."""
        return tuple(layout.unpack(data, self.parameters) for layout in self.results(task))

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of the first task."""
        return self.task_macs[0]

    def __str__(self) -> str:
        """The text of `program.txt`; `parse` is its inverse."""
        lines = [FORMAT, f"parameters {_fields(self.parameters)}", f"input {_fields(self.input)}"]
        lines += [f"output {_fields(layout)}" for layout in self.outputs]
        lines.append(f"macs {' '.join(map(str, self.task_macs))}")
        lines += [f"region {_fields(region)}" for region in self.regions]
        lines += [f"view {_fields(view)}" for view in self.views]
        lines += [f"move {_fields(move)}" for move in self.moves]
        lines += [f"command {index}: {command}" for index, command in enumerate(self.commands)]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Program:
        """A Program from its text; raises `UsageError` naming the line."""
        lines = text.splitlines()
        if not lines or lines[0] != FORMAT:
            raise UsageError(f"program text: the first line must be {FORMAT!r}")
        found: dict[str, list[Any]] = {key: [] for key in (*_NEEDED, *_LISTED)}
        for number, line in enumerate(lines[1:], 2):
            key, _, rest = line.partition(" ")
            if key in found:
                found[key].append(_value(key, rest, number))
            elif line:
                raise UsageError(f"program text: line {number}: unknown {key!r}")
        missing = sorted(key for key in _NEEDED if not found[key])
        if missing:
            raise UsageError(f"program text: missing {', '.join(missing)}")
        return cls(
            parameters=found["parameters"][-1],
            input=found["input"][-1],
            outputs=tuple(found["output"]),
            task_macs=found["macs"][-1],
            commands=tuple(found["command"]),
            regions=tuple(found["region"]),
            views=tuple(found["view"]),
            moves=tuple(found["move"]),
        )


_NEEDED = ("parameters", "input", "output", "macs")
"""Kinds of lines of `program.txt` of which there must be one."""
_LISTED = ("region", "view", "move", "command")
_LATER = ("name", "start")
"""Fields of an output that only one of several has."""
_RUNS: dict[type, tuple[str, ...]] = {
    InputLayout: tuple(item.name for item in dataclasses.fields(InputLayout) if item.default == 0),
    View: ("run", "run_columns"),
}
"""Fields of an input and of a view that only windows of the image have."""
_PARTS = ("part", "first_row", "first_head", "first_column", "windows")
"""Fields of a view that only one of a part has."""
_PITCHES = ("pitch", "pitch_rows")
"""Fields of a view that only one of rows with others between them has."""
_LISTS = ("key_runs", "tile_rows", "keys", "hidden")
"""Fields of a view that only one by key lists has."""
_RECORDS: dict[str, type] = {
    "parameters": MachineParameters,
    "input": InputLayout,
    "output": OutputLayout,
    "region": Region,
    "view": View,
    "move": Move,
}
"""Kinds of lines that hold the fields of a record."""


def _value(key: str, text: str, number: int) -> Any:
    """What a line holds behind its kind."""
    if key == "command":
        return Command.parse(text.partition(": ")[2])
    if key == "macs":
        if not text.replace(" ", "").isdigit():
            raise UsageError(f"program text: line {number}: macs must be integers, not {text!r}")
        return tuple(map(int, text.split()))
    return _parse(_RECORDS[key], text, number)


def _fields(value: Any) -> str:
    """The fields; of what has no name, or no runs, only those that do not need them."""
    later: tuple[str, ...] = _LATER if isinstance(value, OutputLayout) and not value.name else ()
    if isinstance(value, InputLayout | View) and not value.run:
        later = _RUNS[type(value)]
    if isinstance(value, View) and not value.part:
        later += _PARTS
    if isinstance(value, View) and not value.pitch:
        later += _PITCHES
    if isinstance(value, View) and not value.key_runs:
        later += _LISTS
    return " ".join(
        f"{item.name}={getattr(value, item.name)}"
        for item in dataclasses.fields(value)
        if item.name not in later
    )


def _parse(cls: type[_T], text: str, number: int) -> _T:
    types = {item.name: item.type for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in types:
            raise UsageError(f"program text: line {number}: {cls.__name__} has no field {name!r}")
        values[name] = value if types[name] in (str, "str") else int(value)
    try:
        return cls(**values)
    except TypeError as error:
        raise UsageError(f"program text: line {number}: {error}") from None
