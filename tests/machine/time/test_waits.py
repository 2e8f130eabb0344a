# SPDX-License-Identifier: Apache-2.0
"""Every cycle of an image has one cause, and the causes are the ones that a change of the machine moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.graphs import DIGITS, integer_vit

from hlsgen.boards.read import load_board
from hlsgen.fit.trial import Trial, Trials
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer

ARRAY = ArrayShape(rows=16, columns=8, depth=8)


def trial(array: ArrayShape, board: str = "zcu102") -> Trial:
    return Trials(Sizer(integer_vit(DIGITS)), load_board(board)).trial(array)


@pytest.mark.parametrize("board", ["zcu102", "ulx3s-85f"])
@pytest.mark.parametrize(
    "array", [ARRAY, replace(ARRAY, row_width=2), replace(ARRAY, rows=4, columns=4, streamed=True)]
)
def test_every_cycle_has_one_cause(array: ArrayShape, board: str) -> None:
    streamed = array.streamed and board == "zcu102"
    found = trial(replace(array, streamed=streamed, bus_bytes=load_board(board).bus_bytes), board)
    assert sum(found.waits.all()) == found.cycles
    assert found.waits.array == found.steps
    assert min(found.waits.all()) >= 0


def test_the_causes_are_moved_by_what_they_name() -> None:
    plain, wide = trial(ARRAY), trial(replace(ARRAY, row_width=4))
    assert wide.waits.drain < plain.waits.drain / 2
    assert wide.waits.load < plain.waits.load
    narrow = trial(replace(ARRAY, bus_bytes=4))
    assert narrow.waits.memory > plain.waits.memory + 1000
    assert narrow.waits.array == wide.waits.array == plain.waits.array


def test_equal_layers_that_were_left_out_count(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = integer_vit(replace(DIGITS, blocks=7))
    board = load_board("zcu102")
    whole = Trials(Sizer(graph), board).trial(ARRAY)
    monkeypatch.setattr("hlsgen.fit.trial.LONG", 0)
    short = Trials(Sizer(graph), board).trial(ARRAY)
    assert short.waits.array == whole.waits.array
    for found, wanted in zip(short.waits.all(), whole.waits.all(), strict=True):
        assert abs(found - wanted) <= 0.005 * whole.cycles
