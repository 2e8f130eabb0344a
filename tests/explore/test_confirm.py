# SPDX-License-Identifier: Apache-2.0
"""The best points run in RTL: every tensor equal, and about the cycles that were predicted."""

from __future__ import annotations

import dataclasses

import pytest
from support.explored import space
from support.graphs import DIGITS, integer_vit

from hlsgen.errors import Mismatch
from hlsgen.executors.executor import Serial
from hlsgen.explore.confirm import Confirmed, in_rtl
from hlsgen.explore.exploration import explore
from hlsgen.explore.point import Point
from hlsgen.explore.subject import Setting, Subject
from hlsgen.explore.table import confirmations

MODEL = Subject("digits", {10: Setting(integer_vit(DIGITS))})


def test_the_best_point_takes_the_predicted_time() -> None:
    choices = space(MODEL, arrays=("2x2x4", "4x4x4"), rings=(1 << 18,), widths=(1,))
    seen: list[tuple[int, int]] = []
    done = explore(
        MODEL, choices, points=10, executor=Serial(), confirmed=1, progress=lambda *each: seen.append(each)
    )
    (found,) = done.confirmed
    assert found.point == done.best[0].point
    assert found.predicted == found.searched == done.best[0].known.cycles
    assert abs(found.error) <= 0.01
    assert seen[-1] == (1, 1)
    (line,) = confirmations(done)[2:]
    assert f"{found.cycles} cycles, predicted {found.predicted} ({found.error:+.2%})" in line
    assert done.data()["confirmed"][0]["error"] == round(found.error, 6)


def test_rtl_that_differs_is_no_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden of other weights stands for RTL that is wrong."""
    other = integer_vit(dataclasses.replace(DIGITS, seed=9))
    true = "hlsgen.explore.confirm.golden_of"
    from hlsgen.ir import evaluate

    monkeypatch.setattr(true, lambda _graph, *rest: evaluate(other, *rest))
    with pytest.raises(Mismatch):
        in_rtl(MODEL, Point(board="zcu102", array=(4, 4, 4)))


def test_the_error_is_a_share_of_what_was_measured() -> None:
    point = Point(board="zcu102", array=(4, 4, 4))
    assert Confirmed(point=point, cycles=200, predicted=202, searched=202).error == pytest.approx(0.01)
