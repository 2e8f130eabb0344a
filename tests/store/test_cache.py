# SPDX-License-Identifier: Apache-2.0
"""What is kept: made once, whole, and again when it was damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hlsgen.store.cache import (
    IN_USE_SECONDS,
    SEAL,
    keep_newest,
    keep_text,
    kept_file,
    kept_text,
    key,
    note_use,
)


def test_a_key_knows_where_its_parts_end() -> None:
    assert key("ab", "c") != key("a", "bc") != key("abc")
    assert key("a", b"b") == key("a", "b")


def test_a_file_is_made_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(work: Path) -> None:
        made.append(work)
        (work / "left").write_text("over")
        (work / "tool").write_text("whole")

    place = tmp_path / "cache" / "0123" / "tool"
    assert kept_file(place, make) == place
    assert place.read_text() == "whole"
    assert sorted(path.name for path in place.parent.iterdir()) == [SEAL, "tool"]
    kept_file(place, make)
    assert len(made) == 1
    assert not made[0].exists()
    for number, damage in enumerate(
        (
            lambda: place.write_text("who"),
            lambda: place.with_name(SEAL).write_text(""),
            place.unlink,
            place.with_name(SEAL).unlink,
        ),
        2,
    ):
        damage()
        assert kept_file(place, make).read_text() == "whole"
        assert len(made) == number


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(work: Path) -> None:
        (work / "tool").write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        kept_file(tmp_path / "0123" / "tool", fail)
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_texts_go_and_a_cache_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    places = [tmp_path / f"{name}.v" for name in "abc"]
    for place in places:
        assert keep_text(place, place.stem, 2) == place.stem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.v", "c.v"]
    assert kept_text(places[1]) == "b"
    places[2].write_bytes(places[1].read_bytes())
    assert kept_text(places[2]) is None
    nowhere = places[1] / "below" / "x.v"
    assert keep_text(nowhere, "text", 2) == "text"
    assert kept_text(nowhere) is None


def _entry(folder: Path, name: str, hours: float) -> None:
    """An entry of 100 bytes: a folder and a file beside it, last used so many hours ago."""
    (folder / f"{name}.lib").mkdir()
    (folder / f"{name}.lib" / "archive").write_bytes(bytes(90))
    (folder / f"{name}.h").write_bytes(bytes(10))
    for path in (folder / f"{name}.lib" / "archive", folder / f"{name}.lib", folder / f"{name}.h"):
        used = time.time() - 3600 * hours
        os.utime(path, (used, used))


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    old = IN_USE_SECONDS / 3600
    for name, hours in (("kept-a", old + 4), ("kept-b", old + 3), ("kept-c", old + 2), ("other-d", old + 9)):
        _entry(tmp_path, name, hours)
    keep_newest(tmp_path, "kept-", 300)
    assert len(list(tmp_path.iterdir())) == 8
    note_use(tmp_path / "kept-a.lib")
    keep_newest(tmp_path, "kept-", 299)
    here = {path.name for path in tmp_path.iterdir()}
    assert here == {f"{name}.{part}" for name in ("kept-a", "kept-c", "other-d") for part in ("h", "lib")}


def test_what_may_be_in_use_stays(tmp_path: Path) -> None:
    for name, hours in (("kept-a", 0), ("kept-b", 0.9)):
        _entry(tmp_path, name, hours)
    keep_newest(tmp_path, "kept-", 0)
    keep_newest(tmp_path / "missing", "kept-", 0)
    assert len(list(tmp_path.iterdir())) == 4
