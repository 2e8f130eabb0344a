# SPDX-License-Identifier: Apache-2.0
"""Lists of a program: which steps read rows or keys by one, and where each lies in its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hlsgen.lower.attention import operand_bases
from hlsgen.lower.constants import ConstantStream
from hlsgen.lower.layout import Layout
from hlsgen.lower.part import Part
from hlsgen.lower.parts import attention_parts
from hlsgen.lower.refuse import must_be
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import AttentionStep, LinearStep, Step
from hlsgen.machine.format.constants import Item
from hlsgen.machine.format.key_runs import pack_key_runs
from hlsgen.machine.format.runs import list_words, pack_runs

MOST_BYTES = 1 << 15
"""Bytes of a part of the lists that one item of the constant stream brings."""


@dataclass
class Lists:
    """All lists of a kind, one behind another; equal ones once. bases: the first word of each step's."""

    item: Item
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
            part = self.data[start : start + MOST_BYTES]
            constants.placed(self.item, list_words(self.data[:start]), part)
        self.there = True

    def fields(self, step: LinearStep, k_words: int) -> dict[str, int]:
        """Where the list of a step's rows lies, and the words of each of those that make an operand row."""
        if not step.rows.gather:
            return {}
        if not self.there:
            raise must_be(step.linear, "read behind a command that every task has")
        base, pieces = self.bases[step.linear.name], step.rows.places.shape[1]
        return {"list_base": 1 + base, "piece_words": k_words // pieces}


class _Maker:
    """Puts lists one behind another."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._found: dict[bytes, int] = {}
        self._parts: list[bytes] = []
        self._bases: dict[str, int] = {}
        self._words = 0

    def add(self, name: str, data: bytes) -> None:
        """A list by its reader's name; one that is there already is not stored again."""
        if data not in self._found:
            self._found[data] = self._words
            self._parts.append(data)
            self._words += list_words(data)
        self._bases[name] = self._found[data]

    def lists(self) -> Lists:
        """All of them."""
        return Lists(self._item, b"".join(self._parts), self._bases)


def run_lists(steps: Sequence[Step], layouts: Mapping[str, Layout], row_width: int) -> Lists:
    """The lists of the steps, by the names of their products."""
    maker = _Maker(Item.RUN_LIST)
    for step in steps:
        if isinstance(step, LinearStep) and step.rows.gather:
            rows = step.rows.places.reshape(-1)
            stride = layouts[step.rows.region].stride
            maker.add(step.linear.name, pack_runs(rows, stride, row_width))
    return maker.lists()


def key_lists(steps: Sequence[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> Lists:
    """Which keys the tiles of each part of attention read, by `part_name`."""
    maker = _Maker(Item.KEY_LIST)
    for step in steps:
        if not isinstance(step, AttentionStep) or not step.lists:
            continue
        words = layouts[step.query].head_words, layouts[step.values].head_words
        for part in attention_parts(step, array, layouts):
            bases = operand_bases(step, part, array, words)
            maker.add(part_name(step, part), pack_key_runs(part.runs, array, words, bases))
    return maker.lists()


def part_name(step: AttentionStep, part: Part) -> str:
    """A part's name among those of all steps."""
    return f"{step.scores.name} {part.heads[0]} {part.tiles[0]}"
