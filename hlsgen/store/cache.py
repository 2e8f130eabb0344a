# SPDX-License-Identifier: Apache-2.0
"""What can be made again, kept by a digest of what it is made from: made apart, then moved into its place.

Nobody ever sees half an entry; one that was damaged since is made anew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

PART_SECONDS = 3600
"""After this time what a killed process left half-written is removed."""
IN_USE_SECONDS = 3600
"""What was used within this time is not removed to make room."""
SEAL = "sha256"
"""The file beside what was made, with its digest."""


def cache_folder() -> Path:
    """The user's cache: `$HLSGEN_CACHE`, `$XDG_CACHE_HOME/hlsgen` or `~/.cache/hlsgen`."""
    if own := os.environ.get("HLSGEN_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hlsgen"


def key(*parts: str | bytes) -> str:
    """A name for what is made from these parts: 16 hexadecimal digits of a digest of them all, in order."""
    digests = (sha256(part.encode() if isinstance(part, str) else part).digest() for part in parts)
    return sha256(b"".join(digests)).hexdigest()[:16]


def kept_file(place: Path, make: Callable[[Path], None]) -> Path:
    """The file at `place`, a folder of its own below one that can be written.

    Where it is missing or damaged, `make` is given an empty folder, and leaves a file of that name in it.
    """
    seal = place.with_name(SEAL)
    with suppress(OSError):
        if seal.read_text() == _digest(place):
            return place
    above = place.parent.parent
    above.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=above, prefix="building-") as name:
        work = Path(name)
        make(work)
        (work / SEAL).write_text(_digest(work / place.name))
        place.parent.mkdir(exist_ok=True)  # somebody else may make the same
        (work / place.name).replace(place)
        (work / SEAL).replace(seal)
    return place


def keep_newest(folder: Path, prefix: str, most_bytes: int) -> None:
    """Remove the entries that were used longest ago, until what begins with `prefix` takes `most_bytes`.

    An entry is all that has one name up to the first dot; it was used when any of that was changed last
    (`note_use`). Entries of the last `IN_USE_SECONDS` stay: another process may be reading them.
    """
    entries: dict[str, list[Path]] = {}
    with suppress(OSError):  # somebody else may be removing the same
        for path in folder.glob(f"{prefix}*"):
            entries.setdefault(path.name.partition(".")[0], []).append(path)
        used = {name: max(path.stat().st_mtime for path in paths) for name, paths in entries.items()}
        total, oldest = 0, time.time() - IN_USE_SECONDS
        for name in sorted(entries, key=lambda name: used[name], reverse=True):
            total += sum(map(_size, entries[name]))
            if total > most_bytes and used[name] < oldest:
                for path in entries[name]:
                    _remove(path)


def note_use(path: Path) -> None:
    """Note that an entry is in use, for `keep_newest`."""
    with suppress(OSError):
        os.utime(path)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def kept_text(place: Path) -> str | None:
    """The text of an entry; nothing where there is none, or one that is damaged or another's."""
    try:
        first, _, text = place.read_bytes().partition(b"\n")
        return text.decode() if first.decode() == text_seal(place, text) else None
    except (OSError, ValueError):
        return None


def text_seal(place: Path, text: bytes) -> str:
    """The first line of an entry, a comment of C and Verilog: a digest of its name and its text."""
    return f"// sha256 {sha256(place.stem.encode() + text).hexdigest()}"


def keep_text(place: Path, text: str, most: int) -> str:
    """Put a text into the cache, if that can be written; returns the text.

    most: entries in its folder that are kept, the newest ones.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as file:
            file.write(f"{text_seal(place, data)}\n".encode() + data)
        Path(file.name).replace(place)
        kept = sorted(place.parent.glob(f"*{place.suffix}"), key=lambda item: item.stat().st_mtime)
        too_old = time.time() - PART_SECONDS
        parts = [item for item in place.parent.glob("*.part") if item.stat().st_mtime < too_old]
        for old in (*kept[:-most], *parts):
            old.unlink(missing_ok=True)
    except OSError:
        return text  # a cache that can't be written only costs time
    return text
