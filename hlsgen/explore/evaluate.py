# SPDX-License-Identifier: Apache-2.0
"""One evaluation: a model and a point give a result. It has no effect, and gives the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hlsgen.errors import DoesNotFit, UnsupportedModel, UsageError
from hlsgen.explore.point import Point
from hlsgen.explore.result import Figures, Result
from hlsgen.explore.subject import Subject
from hlsgen.fit.estimate import Fit, check_fit
from hlsgen.fit.settings import Settings
from hlsgen.fit.trial import Trials
from hlsgen.host.collector import collector_paused
from hlsgen.lower.size import ArrayShape


def evaluate(subject: Subject, point: Point) -> Result:
    """The result of a point.

    Raises `UsageError` for a board or a logit width that the subject has not; whatever else stands against
    the point is in its result.
    """
    board, setting = subject.board(point.board), subject.setting(point.logit_width)
    machines = subject.machines(point.board, point.logit_width)
    plain = Result(point=point, noise_db=setting.noise_db, centred_db=setting.centred_db)
    try:
        Settings(attention=point.attention, span=point.span, row_width=point.row_width).check(board)
        array = point.shape(board)
        fit = machines.fit(array)
    except (DoesNotFit, UnsupportedModel, UsageError) as error:
        return replace(plain, problems=tuple(each.what for each in error.problems))
    problems = () if fit.fits else _reasons(machines, array, fit)
    return replace(
        plain,
        problems=problems,
        dsp=fit.dsp,
        ram_blocks=fit.ram_blocks,
        dsp_share=round(fit.dsp / max(1, board.resources.dsp), 4),
        ram_share=round(fit.ram_blocks / max(1, board.resources.ram_blocks), 4),
        figures=None if problems else _figures(machines, array, fit),
    )


def evaluate_all(subject: Subject, points: Sequence[Point]) -> list[Result]:
    """The results of points; those of one array and setting share work."""
    with collector_paused():
        return [evaluate(subject, point) for point in points]


def _reasons(machines: Trials, array: ArrayShape, fit: Fit) -> tuple[str, ...]:
    try:
        check_fit(machines.parameters(array), fit.board, machines.image_bytes(array))
    except DoesNotFit as error:
        return tuple(problem.what for problem in error.problems)
    raise AssertionError("what does not fit is refused")


def _figures(machines: Trials, array: ArrayShape, fit: Fit) -> Figures:
    trial, board = machines.trial(array), fit.board
    seconds = trial.cycles / (1e6 * board.core_mhz)
    size = machines.bytes_read(array) if board.image == "external" else 0
    return Figures(
        cycles=trial.cycles,
        latency_ms=round(1e3 * seconds, 6),
        frames_per_second=round(1 / seconds, 3),
        bytes_per_image=size,
        megabytes_per_second=round(size / seconds / 1e6, 3),
        ring_words=machines.parameters(array).ring_words,
        waits=trial.waits,
    )
