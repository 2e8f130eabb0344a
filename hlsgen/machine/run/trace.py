# SPDX-License-Identifier: Apache-2.0
"""Trace records: every word the machine writes, and their comparison with the golden tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hlsgen.machine.format.commands import Command, Depends, Load, Product
from hlsgen.machine.format.interface import (
    DRAIN,
    SCORES,
    TILE,
    listed_keys,
    shown_part,
    shown_places,
    trace_places,
    window_places,
)
from hlsgen.machine.format.program import Program, View


@dataclass(frozen=True)
class Difference:
    """The first element that differs from golden; `got` is None when the word never came."""

    tensor: str
    index: tuple[int, ...]
    golden: int
    got: int | None
    command: int
    cycle: int | None
    differing: int
    """Elements of this tensor that differ."""

    def __str__(self) -> str:
        if self.got is None:
            place = f"{self.tensor}{list(self.index)}"
            return f"{place}: golden {self.golden}, nothing written (command {self.command})"
        when = "" if self.cycle is None else f", cycle {self.cycle}"
        return (
            f"{self.tensor}{list(self.index)}: golden {self.golden}, got {self.got} "
            f"(command {self.command}{when}; {self.differing} elements differ)"
        )


def tensor_shape(view: View) -> tuple[int, ...]:
    """The graph tensor's shape."""
    if view.head_first or view.windows:
        return view.heads, view.rows, view.columns
    return view.rows, max(view.heads, 1) * view.columns


def _select(records: np.ndarray, view: View) -> np.ndarray:
    key = (view.command, view.which, view.kind)
    chosen = (records["command"] == key[0]) & (records["which"] == key[1]) & (records["kind"] == key[2])
    return _joined(records[chosen], view.digit_words) if view.digit_words else records[chosen]


def _joined(records: np.ndarray, words: int) -> np.ndarray:
    """Records with both digits, in the place of those of the low digit; `words`: of a row of a digit."""
    high = records["word"] < words
    digits = [records[high], records[~high].copy()]
    digits[1]["word"] -= words
    keys = [[each[name] for name in ("word", "row", "head")] for each in digits]
    upper, lower = (each[np.lexsort(key)] for each, key in zip(digits, keys, strict=True))
    count = min(len(upper), len(lower))  # a word that never came is missing in both
    lower = lower[:count].copy()
    lower["data"] += upper["data"][:count] << 8
    return lower


def routed_rows(view: View, golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """The tensor's row for each entry of the view's expert's queue; -1 where the view does not show it."""
    route = golden[view.route]
    chosen = route[:, : route.shape[-1] // 2].astype(np.int64)
    tokens, choices = np.nonzero(chosen == view.expert - 1)
    rows = tokens if view.rows == len(chosen) else tokens * chosen.shape[-1] + choices
    return np.where(chosen[tokens].max(-1) == view.expert - 1, rows, -1) if view.final else rows


def known(commands: Sequence[Command], records: np.ndarray) -> np.ndarray:
    """The records of one execution, with zeros where a word has what no result depends on.

    That is what a memory held before the run, so no two executions agree on it: scores beyond the keys, and
    rows of a command that has none of its own, whose weights are zero.
    """
    result, number = records.copy(), records["command"]
    own = np.array([_has_rows(command) for command in commands])
    result["data"][(records["which"] == TILE) & ~own[number]] = 0
    columns = result["data"].shape[-1]
    key = records["word"].astype(np.int64)[:, None] * columns + np.arange(columns)
    scores = (records["which"] == DRAIN) & (records["kind"] == SCORES)
    keys = np.array([c.keys for c in commands])[number]
    result["data"][scores[:, None] & (key >= keys[:, None])] = 0
    return result


def _has_rows(command: Command) -> bool:
    """Whether what LOAD reads matters: rows of weights that are zero lie nowhere, one behind the other."""
    plain = command.load is Load.ROWS and command.product is Product.WEIGHTS
    return not plain or (command.depends is not Depends.NONE and command.source_stride > 0)


def rebuild(
    program: Program, records: np.ndarray, golden: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Every traced graph tensor that has its own rows' order, from the records of one image."""
    tensors = {}
    for view in program.views:
        if view.expert or (golden is not None and view.tensor not in golden):
            continue
        chosen = _select(records, view)
        flat, real = trace_places(view, chosen)
        tensor = np.zeros(int(np.prod(tensor_shape(view))), np.int64)
        tensor[flat[real]] = chosen["data"][real]
        _put(tensors, view, tensor.reshape(tensor_shape(view)))
    return tensors


def _put(tensors: dict[str, np.ndarray], view: View, shown: np.ndarray) -> None:
    """Put what a view shows to its place in the tensor; what no part has shown yet is zero."""
    before = tensors.get(view.tensor)
    if not view.part:
        tensors[view.tensor] = shown
        return
    if view.key_runs:
        shown = _spread(view, shown)
    places = window_places(view) if view.windows else [shown_places(view)]
    ends = [[at.stop if isinstance(at, slice) else at + 1 for at in place] for place in places]
    held = before.shape if before is not None else (0,) * len(ends[0])
    whole = np.zeros(np.max([*ends, held], axis=0), np.int64)
    if before is not None:
        whole[tuple(map(slice, held))] = before
    for place, part in zip(places, shown if view.windows else [shown], strict=True):
        whole[place] = part
    tensors[view.tensor] = whole


def _spread(view: View, shown: np.ndarray) -> np.ndarray:
    """What a view by key lists shows, [heads, rows, columns], with all columns of the tensor: zeros else."""
    keys = listed_keys(view)
    whole = np.zeros((*shown.shape[:2], max(int(keys.max()) + 1, view.keys)), np.int64)
    np.put_along_axis(whole, np.broadcast_to(keys, shown.shape), shown, 2)
    return whole[..., : view.keys]


def compare(
    program: Program, records: np.ndarray, golden: Mapping[str, np.ndarray], task: int = 0
) -> Difference | None:
    """The first difference in program order between the records of one image and the golden tensors.

    Every record counts, those that write an element again included, and every element of the tensors that
    `task` computes must be written: by each expert those of its tokens.
    """
    ran = [command.runs_for(task) for command in program.commands]
    last = min((at for at, command in enumerate(program.commands) if ran[at] and command.last), default=None)
    for view in program.views:
        if not ran[view.command] or (last is not None and view.command > last):
            continue
        if program.parameters.tasks > 1 and view.tensor not in golden:
            continue  # a constant of another task, which is made for all
        difference = _compare_view(_select(records, view), view, golden)
        if difference is not None:
            return difference
    return None


def _compare_view(chosen: np.ndarray, view: View, golden: Mapping[str, np.ndarray]) -> Difference | None:
    rows = routed_rows(view, golden) if view.expert else np.arange(view.rows)
    if view.expert:
        chosen = _placed(chosen, rows, view.rows)
    flat, real = trace_places(view, chosen)
    expected = shown_part(view, golden[view.tensor]).reshape(-1)
    inside = real & (flat >= 0) & (flat < expected.size)
    wrong = real & ~inside
    wrong[inside] = chosen["data"][inside] != expected[flat[inside]]
    if wrong.any():
        first, lane = np.argwhere(wrong)[0]
        position = min(int(flat[first, lane]), expected.size - 1)
        index = tuple(int(i) for i in np.unravel_index(position, tensor_shape(view)))
        record = chosen[first]
        return Difference(
            view.tensor, index, int(expected[position]), int(record["data"][lane]),
            view.command, int(record["cycle"]), int(wrong.sum()),
        )  # fmt: skip
    written = np.zeros(expected.size, bool)
    if view.expert:
        written.reshape(view.rows, -1)[np.setdiff1d(np.arange(view.rows), rows)] = True
    written[flat[real]] = True
    if not written.all():
        position = int(np.argmin(written))
        index = tuple(int(i) for i in np.unravel_index(position, tensor_shape(view)))
        missing = int((~written).sum())
        return Difference(view.tensor, index, int(expected[position]), None, view.command, None, missing)
    return None


def _placed(records: np.ndarray, rows: np.ndarray, beyond: int) -> np.ndarray:
    """The records with their tensor's rows; those the view does not show are left out."""
    row = records["row"].astype(np.int64)
    place = np.append(rows, beyond)[np.minimum(row, len(rows))]
    shown = records[place >= 0].copy()
    shown["row"] = place[place >= 0]
    return shown
