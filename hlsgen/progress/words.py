# SPDX-License-Identifier: Apache-2.0
"""Steps in words."""

from __future__ import annotations

import os
from pathlib import Path

from hlsgen.progress.steps import Step, open_steps

QUIET, NORMAL, VERBOSE = 0, 1, 2
"""Nothing but errors and warnings; planned steps; every step with its time, and every tool's command."""
TAIL_BYTES, TAIL_CHARACTERS = 2048, 60


def title(step: Step) -> str:
    """A step's number and name."""
    return f"{step.number}/{step.of} {step.name}" if step.number else step.name


def amount(step: Step) -> str:
    """How much of a step is done, and how long it takes: `64 of 256 images, 12 s, about 36 s left`."""
    step.refresh()
    parts = [f"{step.done} of {step.total} {step.unit}"] if step.total else []
    parts.append(clock(step.seconds))
    left = step.seconds_left
    if left is not None and step.done < step.total:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def under_way() -> str:
    """The steps that are under way in one line: the outer one's title, and how far the inner one is."""
    steps = open_steps()
    if not steps:
        return ""
    names = [title(step) for step in steps]
    last = tail(steps[-1])
    return f"{': '.join(dict.fromkeys(names))}: {amount(steps[-1])}{f' | {last}' if last else ''}"


def tail(step: Step) -> str:
    """The last line that a step's tool has written, made short and plain."""
    lines = next(filter(None, map(_last_lines, (step.watched, step.log))), [])
    last = next((line for line in reversed(lines) if line.strip() and not line.startswith("$ ")), "")
    return "".join(c if c.isprintable() else " " for c in last).strip()[:TAIL_CHARACTERS]


def _last_lines(path: Path | None) -> list[str]:
    """The last lines of a file, none where there is no file."""
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
