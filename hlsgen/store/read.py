# SPDX-License-Identifier: Apache-2.0
"""Reading files that may be damaged: whatever they hold, the only errors are `UsageError`."""

from __future__ import annotations

import io
import json
import math
import struct
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.version import __version__

DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, SyntaxError, OverflowError,
    ZeroDivisionError, RecursionError, MemoryError, struct.error, tokenize.TokenError,
)  # fmt: skip
"""What parsers raise when their input is damaged."""
AGAIN = "hlsgen compile again"
HEADER_BYTES = 10_000
"""The longest header of a .npy file."""


def damaged(path: Path, what: str, error: BaseException | str, fix: str = AGAIN) -> UsageError:
    """The error for a file that is not what it must be."""
    if isinstance(error, (KeyError, RecursionError)):
        error = f"{type(error).__name__}: {error}"
    why = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(Problem(f"{path} must be {what}", why=why, fix=fix), code=Code.DAMAGED)


def read_bytes(path: Path, fix: str = AGAIN) -> bytes:
    """The whole file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            Problem(f"{path} can't be read", why=error.strerror or str(error), fix=fix), code=Code.READ
        ) from None
    except ValueError as error:
        raise UsageError(f"{str(path)!r} can't be a path: {error}", code=Code.READ) from None


def parse_text(path: Path, data: bytes, fix: str = AGAIN) -> str:
    """Text in UTF-8; `path` is for the message."""
    try:
        return data.decode()
    except ValueError as error:
        raise damaged(path, "text in UTF-8", error, fix) from None


def parse_document(
    path: Path, data: bytes, form: str = "", fields: Mapping[str, type] | None = None, fix: str = AGAIN
) -> dict[str, Any]:
    """A JSON object: of a format, with fields of these types, without numbers that aren't finite."""
    what = f"a JSON document of format {form!r}" if form else "a JSON document"
    try:
        document = json.loads(data.decode(), parse_constant=_no_number, parse_float=_finite)
    except DAMAGE as error:
        raise damaged(path, what, error, fix) from None
    if not isinstance(document, dict):
        raise damaged(path, what, f"it holds a {type(document).__name__}", fix)
    other = document.get("format")
    if form and other != form and str(other).rpartition(" ")[0] == form.rpartition(" ")[0]:
        raise _other_version(path, form, document, fix)
    if form and other != form:
        raise damaged(path, what, f"its format is {document.get('format')!r}", fix)
    for name, kind in (fields or {}).items():
        if type(document.get(name)) is not kind:
            raise damaged(path, what, f"{name} must be of type {kind.__name__}", fix)
    return document


def _other_version(path: Path, form: str, document: Mapping[str, Any], fix: str) -> UsageError:
    """The error for what another version wrote."""
    who = document.get("hlsgen")
    by = (
        f"hlsgen {shown(who)[1:-1]} wrote it"
        if isinstance(who, str)
        else "another version of hlsgen wrote it"
    )
    what = f"{path} must be of format {form!r}, not {shown(document['format'])}"
    return UsageError(Problem(what, why=f"{by}; this is {__version__}", fix=fix), code=Code.VERSION)


def parse_array(path: Path, data: bytes, fix: str = AGAIN) -> np.ndarray:
    """The array of a .npy file: integers or real numbers, of the size that its header says; no pickle."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, kind = readers[version](stream, max_header_size=HEADER_BYTES)
        size = math.prod(shape) * kind.itemsize
        if kind.kind not in "iuf" or min(shape, default=0) < 0 or size != len(data) - stream.tell():
            raise ValueError(f"its header says {shape} of {kind}")
        flat = np.frombuffer(data, kind, offset=stream.tell())
        return flat.reshape(shape, order="F" if fortran else "C").copy()
    except DAMAGE as error:
        raise damaged(path, "an array in NumPy's .npy format", error, fix) from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)
