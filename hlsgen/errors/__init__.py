# SPDX-License-Identifier: Apache-2.0
"""Errors that users see: each says what, where, why and what to do, and has a code and an exit code."""

from __future__ import annotations

import dataclasses
import errno
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlsgen.errors.codes import Code

EXIT_OK, EXIT_USAGE, EXIT_UNSUPPORTED, EXIT_DOES_NOT_FIT = 0, 2, 3, 4
EXIT_MISMATCH, EXIT_TOOL_MISSING, EXIT_TOOL_FAILED, EXIT_INTERNAL = 5, 6, 7, 70


_LONGEST = 80


def shown(value: object) -> str:
    """A value of a user, as Python writes it, on one line of at most 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of more than 4,300 digits
        text = f"a long {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


@dataclass(frozen=True)
class Problem:
    """One finding: what is wrong, where in the user's model, why, and what to do."""

    what: str
    where: str = ""
    why: str = ""
    fix: str = ""
    name: str = ""
    """What it is part of, in the words of architectures: rotary positions, window attention."""
    log: str = ""
    """The file with all that a tool has printed."""
    code: Code | None = dataclasses.field(default=None, compare=False)
    """Its kind; where it has none of its own, the error gives it one."""

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.what}" if self.name else self.what]
        labelled = ("where", self.where), ("why", self.why), ("log", self.log), ("fix", self.fix)
        for label, text in labelled:
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class CaptureWarning(UserWarning):
    """What the front end changed in a model on the way in."""


class QuantizationWarning(UserWarning):
    """Something about a model's quantization that its user should know; the graph is valid."""


class HlsgenError(Exception):
    """Base of every error with a message meant for the user.

    Parameters
    ----------
    problems
        One sentence, one `Problem`, or all the problems found at once.
    code
        The kind of those problems that have none; by default that of the class.
    """

    exit_code = EXIT_INTERNAL
    code = Code.DEFECT

    def __init__(self, problems: str | Problem | Iterable[Problem], *, code: Code | None = None) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        code = code or self.code
        self.problems: tuple[Problem, ...] = tuple(
            problem if problem.code else dataclasses.replace(problem, code=code) for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: an error of another process is the same error here, whatever its constructor takes."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[HlsgenError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> HlsgenError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class UsageError(HlsgenError):
    """The call itself is wrong: a value, a file, a shape."""

    exit_code = EXIT_USAGE
    code = Code.CALL


class UnsupportedModel(HlsgenError):
    """The model holds something hlsgen can't turn into hardware."""

    exit_code = EXIT_UNSUPPORTED
    code = Code.UNSUPPORTED


class CalibrationError(HlsgenError):
    """Calibration data is missing or can't be used."""

    exit_code = EXIT_USAGE
    code = Code.IMAGES


class TypeMismatch(HlsgenError):
    """A graph that hlsgen itself built breaks a type rule."""


class RangeOverflow(HlsgenError):
    """An intermediate can't be proved to fit its width."""

    exit_code = EXIT_UNSUPPORTED
    code = Code.RANGE


class DoesNotFit(HlsgenError):
    """The design needs more than the board or the machine has."""

    exit_code = EXIT_DOES_NOT_FIT
    code = Code.FIT


class Mismatch(HlsgenError):
    """Two executions of one program differ."""

    exit_code = EXIT_MISMATCH
    code = Code.MISMATCH


class ToolMissing(HlsgenError):
    """A tool is not installed."""

    exit_code = EXIT_TOOL_MISSING
    code = Code.TOOL_MISSING


class ToolFailed(HlsgenError):
    """A tool ran and failed, or timing was missed; carries the command and its last lines."""

    exit_code = EXIT_TOOL_FAILED
    code = Code.TOOL_FAILED

    def __init__(
        self,
        what: str,
        command: Sequence[str] = (),
        output: str = "",
        fix: str = "",
        log: Path | None = None,
        *,
        code: Code | None = None,
    ) -> None:
        tail = "\n    ".join(output.strip().splitlines()[-12:])
        self.command = tuple(command)
        why = f"\n    {tail}" if tail else ""
        place = str(log) if log else ""
        super().__init__(Problem(what, where=shlex.join(command), why=why, fix=fix, log=place), code=code)


class ToolTimedOut(ToolFailed):
    """A tool took longer than it may."""

    code = Code.TOOL_TIME


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PLACES = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM)


def written_badly(error: OSError) -> UsageError | None:
    """The error for a place that can't be written, or a full disk; None for other errors of the system."""
    if error.errno not in _PLACES:
        return None
    place = error.filename2 or error.filename
    what = f"{place or 'a file'} can't be written: {error.strerror}"
    fix = "make room, then call it again" if error.errno in NO_ROOM else "choose another folder"
    return UsageError(Problem(what, fix=fix), code=Code.WRITE)


class ClippedInput(UserWarning):
    """Many pixels lie outside what the input's integers can hold: most likely a wrong preprocessing."""
