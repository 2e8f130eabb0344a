# SPDX-License-Identifier: Apache-2.0
"""A point: everything that can be chosen for a model's accelerator, as `hlsgen compile` takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlsgen.boards.board import Board
from hlsgen.errors import Problem, UsageError, shown
from hlsgen.fit.options import parse_array
from hlsgen.lower.size import ArrayShape

SCHEDULES = ("resident", "streamed")


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """One choice. The fields are options of `hlsgen compile`, but `logit_width`, which is the quantizer's."""

    board: str
    array: tuple[int, int, int]
    row_width: int = 1
    ring_bytes: int = ArrayShape.ring_bytes
    attention: str = "resident"
    span: int = 0
    logit_width: int = 10

    def shape(self, board: Board) -> ArrayShape:
        """The array on its board; raises `UsageError` for one that no machine has."""
        rows, columns, depth = self.array
        return ArrayShape(
            rows=rows,
            columns=columns,
            depth=depth,
            bus_bytes=board.bus_bytes,
            ring_bytes=self.ring_bytes,
            row_width=self.row_width,
            streamed=self.attention == "streamed",
            span=self.span,
        )

    def data(self) -> dict[str, Any]:
        """Ready for JSON; `of` reads it."""
        return dataclasses.asdict(self) | {"array": self.array_text}

    @property
    def array_text(self) -> str:
        """Rows, columns and depth as RxCxD."""
        return "x".join(map(str, self.array))

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hlsgen.compile`."""
        return {name: value for name, value in self.data().items() if name != "logit_width"}

    def command(self) -> str:
        """Options of `hlsgen compile`."""
        parts = [f"--board {self.board}", f"--array {self.array_text}", f"--row-width {self.row_width}"]
        parts += [f"--ring {self.ring_bytes}", f"--attention {self.attention}"]
        return " ".join([*parts, *([f"--span {self.span}"] if self.span else [])])

    def __str__(self) -> str:
        return f"{self.command()}, logits of {self.logit_width} bits"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Point:
        """The point of JSON data; raises `UsageError` with everything that is wrong with it."""
        kinds = {item.name: str if item.name in ("board", "array", "attention") else int for item in _FIELDS}
        problems = [
            Problem(f"a point has no {shown(name)}", fix=f"its keys are {', '.join(kinds)}")
            for name in data
            if name not in kinds
        ]
        problems += [
            Problem(f"{name} of a point is needed") for name in ("board", "array") if name not in data
        ]
        problems += [
            Problem(f"{name} of a point must be of type {kind.__name__}, not {shown(data[name])}")
            for name, kind in kinds.items()
            if name in data and type(data[name]) is not kind
        ]
        if data.get("attention", SCHEDULES[0]) not in SCHEDULES:
            problems.append(Problem(f"attention of a point must be one of {', '.join(SCHEDULES)}"))
        if problems:
            raise UsageError(problems)
        return cls(**{**data, "array": parse_array(data["array"])})


_FIELDS = dataclasses.fields(Point)
