# SPDX-License-Identifier: Apache-2.0
"""What is explored: a model, quantized once for each quantizer setting, and the boards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hlsgen.boards.board import Board
from hlsgen.boards.read import known_boards, load_board, parse_board
from hlsgen.errors import Problem, UsageError
from hlsgen.fit.trial import Trials
from hlsgen.ir import Graph
from hlsgen.lower.sizer import Sizer
from hlsgen.quantization import Quantized


@dataclass(frozen=True)
class Setting:
    """An integer Graph, and the first output's signal to noise in dB, plain and centred, where known."""

    graph: Graph
    noise_db: float | None = None
    centred_db: float | None = None

    @classmethod
    def of(cls, quantized: Quantized) -> Setting:
        """What the quantizer gave."""
        rows = quantized.report.as_dict()["tensors"]
        (row,) = [row for row in rows if row["name"] == quantized.graph.output]
        return cls(quantized.graph, row["sqnr_db"], row["centred_db"])

    @cached_property
    def sizer(self) -> Sizer:
        """Lowered as far as no array matters."""
        return Sizer(self.graph)


@dataclass(frozen=True)
class Subject:
    """A model with its settings by logit width; `boards`: the texts of boards that are not shipped, by path.

    What is worked out on the way is kept, but does not travel.
    """

    name: str
    settings: Mapping[int, Setting]
    boards: Mapping[str, str] = field(default_factory=dict)
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        settings = {
            width: Setting(each.graph, each.noise_db, each.centred_db)
            for width, each in self.settings.items()
        }
        return {"name": self.name, "settings": settings, "boards": dict(self.boards), "_kept": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def setting(self, logit_width: int) -> Setting:
        """Raises `UsageError` for a width that the model was not quantized for."""
        if logit_width not in self.settings:
            known = ", ".join(map(str, self.settings))
            what = f"logit_width must be one that the model was quantized for, {known}, not {logit_width}"
            raise UsageError(Problem(what, fix="name it when the folder is made: --logit-width"))
        return self.settings[logit_width]

    def board(self, name: str) -> Board:
        """A board by its name or path; raises `UsageError`."""
        if name not in self._kept:
            text = self.boards.get(name)
            self._kept[name] = load_board(name) if text is None else parse_board(Path(name).stem, text)
        return self._kept[name]

    def machines(self, board: str, logit_width: int) -> Trials:
        """Machines on a board for a setting."""
        key = board, logit_width
        if key not in self._kept:
            self._kept[key] = Trials(self.setting(logit_width).sizer, self.board(board))
        return self._kept[key]


def board_texts(boards: tuple[str, ...]) -> dict[str, str]:
    """The texts of those boards that are files of the user; raises `UsageError` for one that is none."""
    found = {}
    for name in boards:
        load_board(name)
        if name.lower() not in known_boards():
            found[name] = Path(name).read_text("utf-8")
    return found
