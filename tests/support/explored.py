# SPDX-License-Identifier: Apache-2.0
"""A small subject to explore, without a front end or a quantizer."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hlsgen.explore.evaluate import evaluate_all
from hlsgen.explore.point import Point
from hlsgen.explore.result import Result
from hlsgen.explore.space import Space, make_space
from hlsgen.explore.subject import Setting, Subject
from support.graphs import DIGITS, integer_vit

SMALL = replace(DIGITS, blocks=1)


def subject(*logit_widths: int) -> Subject:
    """A random transformer; the noise is made up, larger widths have less."""
    return Subject(
        "small",
        {
            width: Setting(integer_vit(replace(SMALL, logit_bits=width)), noise_db=30.0 + width)
            for width in logit_widths or (10,)
        },
    )


def space(model: Subject, *boards: str, **choices: Any) -> Space:
    """The space of a subject on boards, by default the smallest one that has all choices."""
    names = boards or ("zcu102",)
    given: dict[str, Any] = {
        "arrays": ("2x2x4", "4x4x4", "4x4x8", "8x4x4", "8x4x8"),
        "rings": (1 << 14, 1 << 18),
        **choices,
    }
    return make_space({name: model.board(name) for name in names}, tuple(model.settings), **given)


def mortal(shared: tuple[Subject, str], points: Sequence[Point]) -> list[Result]:
    """`evaluate_all`, whose process is killed in the middle, once: before it marks the folder as done."""
    model, mark = shared
    if any(point.array == (8, 4, 4) for point in points) and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate_all(model, points)
