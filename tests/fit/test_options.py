# SPDX-License-Identifier: Apache-2.0
"""What may be asked of `compile`: the record, and the keyword arguments that fill it."""

from __future__ import annotations

import dataclasses

import pytest

from hlsgen.errors import UsageError
from hlsgen.fit.options import Asked, CompileOptions


def test_the_keywords_are_the_fields() -> None:
    fields = [field.name for field in dataclasses.fields(CompileOptions)]
    assert sorted(Asked.__annotations__) == sorted(fields)
    with pytest.raises(TypeError, match="unexpected keyword argument 'rows'"):
        CompileOptions(rows=4)  # pyright: ignore[reportCallIssue]


def test_an_array_may_be_text_or_the_boards() -> None:
    board, shape = CompileOptions(board="zcu102").target()
    assert (board.name, shape.rows, shape.columns, shape.depth, shape.bus_bytes) == ("zcu102", 8, 16, 8, 16)
    for array in ("2x4x8", (2, 4, 8)):
        _, shape = CompileOptions(array=array).target()
        assert (shape.rows, shape.columns, shape.depth, shape.bus_bytes) == (2, 4, 8, 8)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        CompileOptions(array="4x3", attention="none", span=-1).target()
    assert [problem.what for problem in caught.value.problems] == [
        "attention must be one of auto, resident, streamed, not 'none'",
        "span must be 0 (all tiles) or more tiles of queries, not -1",
        "array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '4x3'",
    ]
    with pytest.raises(UsageError) as caught:
        CompileOptions(board="zcu10", array="4x3x8").target()
    assert len(caught.value.problems) == 2
