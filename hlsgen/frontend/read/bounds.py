# SPDX-License-Identifier: Apache-2.0
"""How much a file from elsewhere may make us allocate: what it unfolds to is bounded by its own size."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MOST_ELEMENTS = 1 << 26
"""Elements of a tensor that a file or an option states."""
_SPARE, _FACTOR = 32 << 20, 16
_CHUNK = 1 << 20
_ENCRYPTED = 1
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}


class Damaged(ValueError):
    """A file is not what it must be; the text says why."""


def allowance(size: int) -> int:
    """Bytes that a file of `size` bytes may unfold to: blank images pack well, a bomb packs better."""
    return _SPARE + _FACTOR * size


class Members:
    """The members of a zip archive, read one at a time; `Damaged` is raised for whatever is wrong.

    All members that are read may unfold to `allowance` together, whatever the archive says of their sizes.
    """

    def __init__(self, path: Path) -> None:
        """Open the archive and read its directory."""
        self.size = path.stat().st_size
        self._left = self._most = allowance(self.size)
        try:
            self._file = zipfile.ZipFile(path)
        except OSError:
            raise
        except Exception as error:
            raise Damaged(reason(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """Names of all members."""
        return self._file.namelist()

    def compressed(self) -> bool:
        """Whether any member is."""
        return any(item.compress_type != zipfile.ZIP_STORED for item in self._file.infolist())

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        try:
            item = self._file.getinfo(name)
        except KeyError:
            raise Damaged(f"it has no member {printable(name)}") from None
        shown = printable(name)
        if item.flag_bits & _ENCRYPTED:
            raise Damaged(f"its member {shown} is encrypted")
        if item.compress_type not in _METHODS:
            methods = " or ".join(_METHODS.values())
            raise Damaged(f"its member {shown} must be {methods}, not packed by method {item.compress_type}")
        self._left -= item.file_size
        if self._left < 0:
            raise Damaged(f"it is {self.size} bytes and must unfold to at most {self._most} bytes")
        try:
            return self._read(item)
        except (Damaged, MemoryError):
            raise
        except Exception as error:
            raise Damaged(f"its member {shown} is damaged: {reason(error)}") from error

    def _read(self, item: zipfile.ZipInfo) -> bytes:
        """In chunks: a whole read unpacks all there is before it looks at the size."""
        parts, left = [], item.file_size
        with self._file.open(item) as stream:
            while left and (part := stream.read(min(left, _CHUNK))):
                parts.append(part)
                left -= len(part)
            if left:
                raise Damaged(f"its member {printable(item.filename)} is damaged: {left} bytes are missing")
            stream.read(1)  # the end, where the checksum is compared
        return b"".join(parts)


def reason(error: BaseException) -> str:
    """An error of a library as one line."""
    if isinstance(error, EOFError):
        return "it ends too early"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # A tokenizer's error is a text and a place.
    text = error.args[0] if len(error.args) == 2 and isinstance(error.args[1], tuple) else error
    text = str(text).strip().partition("\n")[0]
    return printable(text or type(error).__name__)


def printable(text: str) -> str:
    """Text of a file for a message: on one line, bounded."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def strict_json(data: bytes) -> Any:
    """JSON as the standard has it: `Damaged` for NaN, infinity, text that is no UTF-8, and deep nesting."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_number, parse_float=_number)
    except Damaged:
        raise
    except RecursionError:
        raise Damaged("its JSON is nested too deeply") from None
    except ValueError as error:
        raise Damaged(f"its JSON is damaged: {reason(error)}") from None


def _no_number(text: str) -> Any:
    raise Damaged(f"its JSON must hold finite numbers, not {text}")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _no_number(printable(text))
    return value
