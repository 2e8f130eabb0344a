# SPDX-License-Identifier: Apache-2.0
"""From the metadata of an export to the module path and line in the user's own code."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

import torch

from hlsgen import nn
from hlsgen.ir import Source

_FRAME = re.compile(r'File "([^"\n]+)", line (\d+), in ')
_LIBRARY = re.compile(r"/(site|dist)-packages/torch/|^<")
_HOME = str(Path(torch.__file__).parent)
_NN = str(Path(nn.__file__))
_LONGEST = 200


def is_library(path: str) -> bool:
    """Whether a file is torch's own, or our modules'."""
    return path.startswith(_HOME) or path == _NN or _LIBRARY.search(path) is not None


def clean(text: str) -> str:
    """Printable, single-line, bounded: text of a model may be hostile."""
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST]


def short(path: str, line: int | str) -> str:
    """`file:line`, relative to the working directory where it lies inside, else the base name."""
    file = Path(path)
    try:
        shown = str(file.relative_to(Path.cwd()))
    except ValueError:
        shown = file.name
    return clean(f"{shown}:{line}")


def location(stack_trace: str | None) -> str:
    """The innermost frame of a stack trace that is not torch's own."""
    frames = [frame for frame in _FRAME.findall(stack_trace or "") if not is_library(frame[0])]
    return short(*frames[-1]) if frames else ""


def source(module: str, stack_trace: str | None) -> Source:
    """Module path and location."""
    return Source(clean(module), location(stack_trace))


def raised_at(traceback: TracebackType | None) -> str:
    """The innermost line of the user's code that a traceback passes through."""
    own = str(Path(__file__).parents[1])
    found = ""
    while traceback is not None:
        path = traceback.tb_frame.f_code.co_filename
        if not is_library(path) and not path.startswith(own):
            found = short(path, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def identifier(path: str) -> str:
    """A module path as a name: dots become underscores, everything else outside [A-Za-z0-9_] too."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", path)[:_LONGEST].strip("_")
    return f"n{name}" if name[:1].isdigit() else name or "node"
