# SPDX-License-Identifier: Apache-2.0
"""A verb's answer, and the text of errors."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hlsgen.errors import EXIT_OK, HlsgenError


@dataclass(frozen=True)
class Answer:
    """A verb's result: `data` for `--json`, `text` for people."""

    data: dict[str, Any]
    text: str
    exit_code: int = EXIT_OK
    warnings: tuple[str, ...] = ()
    """Warnings of a verb that went well: lines of stderr, a list in `--json`."""


def for_terminal(text: str, encoding: str | None = None) -> str:
    """The text without what a terminal would obey, and with what `encoding` lacks written as escapes."""
    plain = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return plain.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")


def error_text(error: HlsgenError) -> str:
    """The error for a terminal: all problems, numbered when there are several."""
    codes = " ".join(dict.fromkeys(problem.code for problem in error.problems if problem.code))
    return for_terminal(f"{_error_text(error)}\n  more: hlsgen explain {codes}")


def _error_text(error: HlsgenError) -> str:
    if len(error.problems) == 1:
        return f"hlsgen: error: {error.problems[0]}"
    lines = [f"hlsgen: error: {len(error.problems)} problems"]
    for number, problem in enumerate(error.problems, 1):
        head, *rest = str(problem).splitlines()
        lines += [f"{number}. {head}", *(f" {line}" for line in rest)]
    return "\n".join(lines)


def error_document(error: HlsgenError) -> dict[str, Any]:
    """The error for `--json`."""
    return {
        "exit_code": error.exit_code,
        "error": type(error).__name__,
        "code": error.problems[0].code if error.problems else error.code,
        "problems": [asdict(problem) for problem in error.problems],
    }


def crash_file(arguments: Sequence[str], error: BaseException) -> tuple[str, str]:
    """Write the traceback and versions to a file; returns one line about the error and the file's path."""
    from hlsgen.version import __version__

    line = for_terminal(" ".join(f"{type(error).__name__}: {error}".split()))
    trace = "".join(traceback.format_exception(error))
    text = "\n".join(
        [f"hlsgen {__version__}, Python {platform.python_version()}, {platform.platform()}",
         f"arguments: {list(arguments)!r}", "", trace]
    )  # fmt: skip
    name = f"hlsgen-crash-{hashlib.sha256(trace.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}.txt"
    for directory in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            (directory / name).write_text(text, "utf-8", "backslashreplace")
        except OSError:
            continue
        return line, str(directory / name)
    return line, "the lines above"
