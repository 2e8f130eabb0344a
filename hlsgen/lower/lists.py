# SPDX-License-Identifier: Apache-2.0
"""Run lists of a program: which steps read rows by one, and where each lies in the memory of lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hlsgen.lower.constants import ConstantStream
from hlsgen.lower.layout import Layout
from hlsgen.lower.refuse import must_be
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.runs import list_words, pack_runs

MOST_BYTES = 1 << 15
"""Bytes of a part of the lists that one item of the constant stream brings."""


@dataclass
class RunLists:
    """All lists of a program, one behind another; equal ones once. bases: the first word of each step's."""

    data: bytes
    bases: Mapping[str, int]
    there: bool = False
    """They stand in the constant stream."""

    @property
    def words(self) -> int:
        """Words of the memory that they take."""
        return list_words(self.data)

    def bring(self, step: LinearStep, constants: ConstantStream) -> None:
        """Append all lists to the stream in front of the first constants that no task goes without.

        So they come before any reader: that waits for rows of a command that has drained, and this one's
        constants were there then.
        """
        if self.there or step.tasks or step.expert:
            return
        for start in range(0, len(self.data), MOST_BYTES):
            constants.run_list(list_words(self.data[:start]), self.data[start : start + MOST_BYTES])
        self.there = True

    def fields(self, step: LinearStep, k_words: int) -> dict[str, int]:
        """Where the list of a step's rows lies, and the words of each of those that make an operand row."""
        if not step.rows.gather:
            return {}
        if not self.there:
            raise must_be(step.linear, "read behind a command that every task has")
        base, pieces = self.bases[step.linear.name], step.rows.places.shape[1]
        return {"list_base": 1 + base, "piece_words": k_words // pieces}


def run_lists(steps: Sequence[Step], layouts: Mapping[str, Layout], row_width: int) -> RunLists:
    """The lists of the steps, by the names of their products."""
    found: dict[bytes, int] = {}
    bases: dict[str, int] = {}
    parts: list[bytes] = []
    size = 0
    for step in steps:
        if not isinstance(step, LinearStep) or not step.rows.gather:
            continue
        rows = step.rows.places.reshape(-1)
        data = pack_runs(rows, layouts[step.rows.region].stride, row_width)
        if data not in found:
            found[data] = size
            parts.append(data)
            size += list_words(data)
        bases[step.linear.name] = found[data]
    return RunLists(b"".join(parts), bases)
