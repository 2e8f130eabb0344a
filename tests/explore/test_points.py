# SPDX-License-Identifier: Apache-2.0
"""Points and results: JSON in, JSON out, the same each time; what can't be built says why."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from support.explored import space, subject
from support.graphs import DIGITS, integer_vit

from hlsgen.boards.read import load_board
from hlsgen.errors import UsageError
from hlsgen.explore.evaluate import evaluate, evaluate_all
from hlsgen.explore.point import Point
from hlsgen.explore.result import Result
from hlsgen.explore.subject import Setting, Subject
from hlsgen.lower import lower
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import board_memory

POINT = Point(board="zcu102", array=(4, 4, 8), attention="streamed", span=1, row_width=2)


def test_a_point_is_json_and_back() -> None:
    assert Point.of(json.loads(json.dumps(POINT.data()))) == POINT
    assert Point.of({"board": "zcu102", "array": "4x4x8"}) == Point(board="zcu102", array=(4, 4, 8))


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ({"board": "zcu102"}, ["array of a point is needed"]),
        ({"board": 3, "array": "4x4x8"}, ["board of a point must be of type str, not 3"]),
        ({"board": "x", "array": "4x4"}, ["array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '4x4'"]),
        (
            {"board": "x", "array": "4x4x8", "ring": 1, "span": True, "attention": "far"},
            [
                "a point has no 'ring'",
                "span of a point must be of type int, not True",
                "attention of a point must be one of resident, streamed",
            ],
        ),
    ],
)
def test_what_is_no_point(data: dict[str, object], texts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Point.of(data)
    assert [problem.what for problem in caught.value.problems] == texts


@pytest.mark.parametrize("board", ["zcu102", "ulx3s-85f"])
def test_the_figures_are_those_of_the_machine_itself(board: str) -> None:
    graph = integer_vit(DIGITS)
    model = Subject("digits", {10: Setting(graph, 40.0, 39.0)})
    point = Point(board=board, array=(4, 4, 8))
    result, made = evaluate(model, point), lower(graph, point.shape(load_board(board)))
    board_data = load_board(board)
    wanted = predict(
        made.program, made.image, board_memory(board_data.image), None, board_data.family.rtl_target
    )
    assert result.fits
    assert (result.noise_db, result.centred_db) == (40.0, 39.0)
    known = result.known
    assert known.cycles == wanted.cycles
    assert known.bytes_per_image == (wanted.bytes_read if board == "zcu102" else 0)
    assert known.latency_ms == pytest.approx(wanted.cycles / board_data.core_mhz / 1e3, rel=1e-4)
    assert known.frames_per_second * known.latency_ms == pytest.approx(1000, rel=1e-3)
    assert known.ring_words == made.program.parameters.ring_words
    assert sum(known.waits.all()) == known.cycles


def test_a_result_is_json_and_back_and_the_same_again() -> None:
    model = subject(8)
    for point in list(space(model).points())[::7]:
        result = evaluate(model, point)
        assert Result.of(json.loads(json.dumps(result.data()))) == result
        assert evaluate(subject(8), point) == result


@pytest.mark.parametrize(
    ("point", "text"),
    [
        (
            replace(POINT, array=(64, 64, 64)),
            "the 64x64x64 array must need at most 2268 DSP blocks",
        ),
        (replace(POINT, board="ulx3s-85f"), "attention must be resident on ulx3s-85f"),
        (replace(POINT, array=(3, 4, 4)), "row_width must be a power of two that divides rows"),
        (replace(POINT, ring_bytes=0), "ring_bytes must be positive, not 0"),
        (
            Point(board="tang-nano-20k", array=(2, 2, 2), ring_bytes=1 << 22),
            "the memories must need at most 46 RAM blocks of 18 kbit on tang-nano-20k",
        ),
    ],
)
def test_what_can_not_be_built_says_why(point: Point, text: str) -> None:
    model = Subject("digits", {10: Setting(integer_vit(replace(DIGITS, blocks=4)))})
    result = evaluate(model, point)
    assert not result.fits
    assert result.figures is None
    assert result.problems[0].startswith(text)


def test_a_width_that_was_not_quantized_for_and_a_board_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="quantized for, 10, not 9"):
        evaluate(subject(), replace(POINT, logit_width=9))
    with pytest.raises(UsageError, match="did you mean zcu102"):
        evaluate(subject(), replace(POINT, board="zcu10"))


def test_a_subject_travels_without_what_was_worked_out() -> None:
    model = subject()
    before = evaluate(model, POINT)
    data = pickle.dumps(model)
    assert len(data) < 1.1 * len(pickle.dumps(subject()))
    assert evaluate_all(pickle.loads(data), [POINT]) == [before]
