# SPDX-License-Identifier: Apache-2.0
"""The search finds the front of the whole space, in the same order of rounds whoever computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.explored import mortal, space, subject

from hlsgen.errors import UsageError
from hlsgen.executors.executor import Serial
from hlsgen.executors.processes import Processes
from hlsgen.explore.evaluate import evaluate_all
from hlsgen.explore.exploration import Exploration, explore
from hlsgen.explore.front import Constraints, front, objectives, ranking
from hlsgen.explore.records import INDEX, POINTS, Records
from hlsgen.explore.result import Result
from hlsgen.explore.space import Space
from hlsgen.explore.subject import Subject
from hlsgen.explore.table import table


def explored(model: Subject, choices: Space, points: int = 10_000, **options: Any) -> Exploration:
    return explore(model, choices, points=points, executor=Serial(), **options)


@pytest.fixture(scope="module")
def whole() -> Exploration:
    """All points of a small space."""
    model = subject(8, 10)
    return explored(model, space(model))


def test_all_of_a_space_and_nothing_else(whole: Exploration) -> None:
    assert set(whole.found) == set(whole.space.points())
    assert whole.computed == len(whole.found) > 100
    assert {point.attention for point in whole.found} == {"resident", "streamed"}
    assert {point.row_width for point in whole.found} == {1, 2, 4}


def test_nothing_beats_the_front_and_the_front_beats_the_rest(whole: Exploration) -> None:
    values = [objectives(result) for result in whole.front]
    for result in whole.found.values():
        beaten = [all(a <= b for a, b in zip(mine, objectives(result), strict=True)) for mine in values]
        assert any(beaten)
    for mine in whole.front:
        better = [
            other
            for other in whole.found.values()
            if all(a <= b for a, b in zip(objectives(other), objectives(mine), strict=True))
            and objectives(other) != objectives(mine)
        ]
        assert not better


def test_few_points_find_the_best(whole: Exploration) -> None:
    part = explored(subject(8, 10), whole.space, points=len(whole.found) // 2)
    assert len(part.found) == len(whole.found) // 2
    assert part.best[0].known.latency_ms <= 1.01 * whole.best[0].known.latency_ms
    assert all(whole.found[point] == result for point, result in part.found.items())


def test_what_is_demanded_is_met_or_said_not_to_be(whole: Exploration) -> None:
    model, fastest = subject(8, 10), whole.front[0].known.latency_ms
    slow = explored(model, whole.space, constraints=Constraints(latency_ms=2 * fastest, min_db=39))
    assert slow.best
    for result in slow.best:
        assert result.known.latency_ms <= 2 * fastest
        assert result.point.logit_width == 10
    allowed = [each for each in slow.front if slow.constraints.met(each)]
    assert slow.best[0].share == min(each.share for each in allowed)
    none = explored(model, whole.space, points=100, constraints=Constraints(fps=1e9))
    assert not none.best
    assert "at least 1e+09 images/s, not " in none.closest()[0]
    assert "no point meets what is asked for" in table(none)


def test_each_limit_is_a_limit(whole: Exploration) -> None:
    result = whole.front[0]
    known = result.known
    for limits in (
        {"fps": known.frames_per_second, "latency_ms": known.latency_ms, "max_dsp": result.dsp},
        {
            "max_ram": result.ram_blocks,
            "max_megabytes": known.megabytes_per_second,
            "min_db": result.noise_db,
        },
    ):
        assert Constraints(**limits).met(result)
        for name, value in limits.items():
            worse = value * (1.01 if name in ("fps", "min_db") else 0.99)
            unmet = Constraints(**{name: worse}).unmet(result)
            assert len(unmet) == 1
            assert ", not " in unmet[0]


def test_the_least_of_the_board_among_the_nearly_fastest() -> None:
    model = subject()
    (fast,) = evaluate_all(model, [next(space(model).points())])
    figures = replace(fast.known, latency_ms=1.0)
    slower = replace(
        fast, figures=replace(figures, latency_ms=1.005), ram_share=fast.share / 2, dsp_share=0.0
    )
    slow = replace(slower, figures=replace(figures, latency_ms=1.02), ram_share=0.0)
    fast = replace(fast, figures=figures)
    assert ranking([fast, slower, slow], Constraints()) == [slower, fast, slow]
    assert ranking([fast, slower, slow], Constraints(latency_ms=2)) == [slow, slower, fast]


def test_processes_find_the_same_also_where_one_is_killed(whole: Exploration, tmp_path: Path) -> None:
    model = subject(8, 10)
    work = model, str(tmp_path / "killed")

    class Mortal(Processes):
        def run(self, function: Any, shared: Any, items: Any) -> Iterator[tuple[int, Any]]:
            assert function is evaluate_all
            assert shared is model
            return super().run(mortal, work, items)

    processes = Mortal(2)
    found = explore(model, whole.space, points=10_000, executor=processes)
    processes.close()
    assert (tmp_path / "killed").exists()
    assert list(found.found) == list(whole.found)
    assert found.front == whole.front
    assert found.best == whole.best


class _Ends(Serial):
    """Stops after some pieces of work, as a crash does."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces

    def run(self, function: Any, shared: Any, items: Any) -> Iterator[tuple[int, Any]]:
        for done in super().run(function, shared, items):
            if not self._pieces:
                raise KeyboardInterrupt
            self._pieces -= 1
            yield done


def test_a_crash_loses_nothing_that_was_known(whole: Exploration, tmp_path: Path) -> None:
    records = Records(tmp_path / "kept")
    model = records.begin(subject(8, 10))
    with pytest.raises(KeyboardInterrupt):
        explore(model, whole.space, points=100, executor=_Ends(3), records=records)
    known = records.known()
    assert 0 < len(known) < 100
    path = records.folder / POINTS
    path.write_bytes(path.read_bytes()[:-40])  # torn by the crash
    torn = records.known()
    assert len(torn) == len(known) - 1
    again = explored(records.subject(), whole.space, points=100, records=records)
    assert again.computed == 100 - len(torn)
    fresh = explored(subject(8, 10), whole.space, points=100)
    assert again.found == fresh.found
    assert again.front == fresh.front
    assert records.known() == again.found
    nothing = explored(records.subject(), whole.space, points=0, records=records)
    assert nothing.computed == 0
    assert nothing.front == again.front


def test_a_folder_holds_one_model(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.begin(subject(8))
    both = records.begin(subject(10))
    assert sorted(both.settings) == [8, 10]
    other = Subject("small", {8: subject(10).settings[10]})
    with pytest.raises(UsageError, match="results of another model or other images, for logits of 8 bits"):
        records.begin(other)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be an exploration") as caught:
        Records(tmp_path).subject()
    assert caught.value.problems[0].fix == "hlsgen explore MODEL -o DIR makes one"
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="must be empty, new, or an exploration"):
        Records(tmp_path).check()
    with pytest.raises(UsageError, match="must be a folder, not a file"):
        Records(tmp_path / "mine").check()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "hlsgen exploration 0"}'])
def test_a_damaged_folder_is_refused(text: str, tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.begin(subject())
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(UsageError, match=r"study\.json must be"):
        records.subject()


def test_a_folder_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path)
    records.begin(subject())
    monkeypatch.setattr("hlsgen.explore.records.__version__", "9.9")
    with pytest.raises(UsageError, match="must be of this version"):
        records.subject()


def test_a_users_board_travels_with_the_subject(tmp_path: Path) -> None:
    from importlib.resources import files

    from hlsgen.explore.subject import board_texts

    path = tmp_path / "mine.toml"
    path.write_text(files("hlsgen.boards").joinpath("zcu102.toml").read_text().replace("2520", "100"))
    model = Subject("small", subject().settings, board_texts((str(path), "zcu102")))
    assert list(model.boards) == [str(path)]
    choices = space(model, str(path), arrays=())
    path.unlink()
    assert max(a * b * c for a, b, c in choices.arrays[str(path)]) <= 2 * 90
    assert front(explored(model, choices, points=3).found.values())


def test_seeds_and_neighbours_stay_in_the_space(whole: Exploration) -> None:
    points = set(whole.space.points())
    assert set(whole.space.seeds()) <= points
    for point in list(points)[::9]:
        beside = whole.space.neighbours(point)
        assert set(beside) <= points - {point}
        assert all(point in whole.space.neighbours(other) for other in beside)


def test_a_space_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="leave no machine"):
        space(subject(), arrays=("3x4x4",), widths=(2,))


def test_the_table_says_what_bounds_the_best_and_why_its_neighbours_lose(whole: Exploration) -> None:
    text, best = table(whole), whole.best[0]
    assert f"small: {len(whole.found)} points" in text
    assert best.point.command() in text
    bound = best.known.bound
    assert f"bound by {bound}: MULTIPLY " in text
    verdicts = {each.verdict.partition(":")[0] for each in whole.neighbours(best)}
    assert "better in nothing" in verdicts
    assert verdicts <= {"better in nothing", "a trade", "can't be built"}
    assert whole.data()["best"][0]["why"].startswith("bound by")


def test_a_neighbour_is_compared_in_figures(whole: Exploration) -> None:
    best = whole.best[0]
    (wider,) = [each for each in whole.neighbours(best) if each.change == "logits of 10 bits"] or [None]
    assert wider is not None
    assert "+2.0 dB" in wider.compared
    assert isinstance(best, Result)
