# SPDX-License-Identifier: Apache-2.0
"""A folder is replaced whole or not at all: a full disk or a kill at every single change of a file."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.folders import build_files, design, held

from hlsgen import Design
from hlsgen.errors import UsageError
from hlsgen.store.lock import locked
from hlsgen.store.paths import DERIVED, MANIFEST
from hlsgen.store.replace import COMMIT, NEW, Folder

MINE = {"notes.txt": b"precious", "hls/mine.txt": b"also precious", "boards/x/kept": b"", "build/tool": b"x"}
CHANGES = ("write_bytes", "unlink", "mkdir", "rmdir")


class Killed(BaseException):
    """Stands for SIGKILL: nothing runs after it."""


class Fault:
    """Fails the change number `at` of a file; a kill, and each one after it."""

    def __init__(self, at: int, *, kill: bool) -> None:
        self.at, self.kill, self.count = at, kill, 0

    def step(self, action: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self.count += 1
        hit = self.count == self.at + 1
        if hit and action is _WRITE:
            _WRITE(arguments[0], arguments[1][: len(arguments[1]) // 2])  # what the disk still took
        if self.kill and self.count > self.at:
            raise Killed
        if hit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return action(*arguments, **options)


_WRITE = Path.write_bytes


@contextmanager
def failing(at: int, *, kill: bool) -> Iterator[Fault]:
    """Every change of a file goes through a `Fault`."""
    fault = Fault(at, kill=kill)
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            original = getattr(Path, name)
            patch.setattr(Path, name, lambda *a, f=original, **k: fault.step(f, *a, **k))
        replace = os.replace
        patch.setattr(os, "replace", lambda *a: fault.step(replace, *a))
        yield fault


@pytest.fixture(scope="module")
def versions() -> tuple[Design, dict[str, bytes], Design, dict[str, bytes]]:
    """Two designs of one model, and what their folders hold; the second has no labels."""
    old, new = design(samples=3), design(seed=5, array="1x2x4", samples=2)
    files = build_files(new)
    return old, build_files(old), new, files


def _folder(path: Path) -> Folder:
    return Folder(path, MANIFEST, "build folder", DERIVED)


def _put(directory: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)


def _changes(start: Path, scratch: Path, contents: Mapping[str, bytes]) -> int:
    """How many changes a replacement makes."""
    if start.exists():
        shutil.copytree(start, scratch)
    with failing(1 << 30, kill=False) as fault:
        _folder(scratch).replace(contents)
    return fault.count


@pytest.mark.parametrize("kill", [False, True], ids=["full", "killed"])
def test_at_every_change_the_old_build_is_there_or_the_new_one(
    tmp_path: Path, versions: tuple[Any, ...], kill: bool
) -> None:
    old, old_files, new, new_files = versions
    start = tmp_path / "start"
    _put(start, MINE | dict.fromkeys(DERIVED, b"of the old machine"))
    _put(start, old_files)
    count = _changes(start, tmp_path / "count", new_files)
    assert count > 60
    seen = []
    for at in range(count):
        place = tmp_path / str(at)
        shutil.copytree(start, place)
        with failing(at, kill=kill), pytest.raises(Killed if kill else UsageError) as caught:
            _folder(place).replace(new_files)
        if not kill:
            assert "can't be written: No space left on device" in str(caught.value)
            assert "None" not in str(caught.value)
            assert not (place / NEW).exists()
        found = Design.load(place).digest
        seen.append(found == new.digest)
        assert found in (old.digest, new.digest)
        if found == old.digest:
            assert {path: data for path, data in held(place).items() if path in old_files} == old_files
        _folder(place).replace(new_files)
        assert held(place) == new_files | MINE
        shutil.rmtree(place)
    assert seen == sorted(seen)  # one change decides
    assert 0 < sum(seen) < count


@pytest.mark.parametrize("kill", [False, True], ids=["full", "killed"])
@pytest.mark.parametrize("existed", [False, True], ids=["new", "empty"])
def test_a_first_compilation_leaves_nothing_that_is_refused(
    tmp_path: Path, versions: tuple[Any, ...], kill: bool, existed: bool
) -> None:
    _, _, new, new_files = versions
    start = tmp_path / "start"
    if existed:
        start.mkdir()
    for at in range(0, _changes(start, tmp_path / "count", new_files), 3):
        place = tmp_path / str(at)
        if existed:
            place.mkdir()
        with failing(at, kill=kill), pytest.raises(Killed if kill else UsageError):
            _folder(place).replace(new_files)
        if not kill and not (place / COMMIT).exists():
            assert place.exists() == existed or (place / MANIFEST).exists()
        if (place / COMMIT).exists() or (place / MANIFEST).exists():
            assert Design.load(place).digest == new.digest
        else:
            with pytest.raises(UsageError, match=r"must be a build folder\n  why: it has no manifest\.json"):
                Design.load(place)
        _folder(place).replace(new_files)
        assert held(place) == new_files


def test_finishing_may_be_killed_too(tmp_path: Path, versions: tuple[Any, ...]) -> None:
    _, old_files, new, new_files = versions
    start = tmp_path / "start"
    _put(start, old_files)
    count = _changes(start, tmp_path / "count", new_files)
    _put(tmp_path / "cut", old_files)
    at = next(k for k in range(count) if _cut(tmp_path / "cut", k, new_files))
    for again in range(0, count - at, 2):
        place = tmp_path / f"again{again}"
        shutil.copytree(tmp_path / "cut", place)
        with failing(again, kill=True), suppress(Killed):
            Design.load(place)
        assert Design.load(place).digest == new.digest
        assert held(place) == new_files


def _cut(place: Path, at: int, contents: Mapping[str, bytes]) -> bool:
    """Kill a replacement; whether it had been decided."""
    with failing(at, kill=True), pytest.raises(Killed):
        _folder(place).replace(contents)
    return (place / COMMIT).is_dir()


def test_an_equal_build_changes_no_file_and_removes_what_was_derived(
    tmp_path: Path, versions: tuple[Any, ...]
) -> None:
    _put(tmp_path, versions[1] | {DERIVED[1]: b"measured"})
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in versions[1]}
    _folder(tmp_path).replace(versions[1])
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in held(tmp_path)} == before


def test_what_would_stop_the_moves_is_refused_before_any(tmp_path: Path, versions: tuple[Any, ...]) -> None:
    _, old_files, _, new_files = versions
    place = tmp_path / "a"
    _put(place, old_files)
    shutil.move(place / "data", tmp_path / "elsewhere")
    (place / "data").symlink_to(tmp_path / "elsewhere")
    (place / "README.md").unlink()
    (place / "README.md").mkdir()
    with pytest.raises(UsageError) as caught:
        _folder(place).replace(new_files)
    assert [problem.what for problem in caught.value.problems] == [
        f"{place}/data must be a folder, not a file or a link",
        f"{place}/README.md must be a file, not a folder",
    ]
    assert not (place / NEW).exists()
    assert (place / "rtl/top.v").read_bytes() == old_files["rtl/top.v"]


def test_a_list_that_leads_outside_is_not_followed(tmp_path: Path, versions: tuple[Any, ...]) -> None:
    (tmp_path / "outside").write_text("mine")
    _put(tmp_path / "a", versions[1])
    text = (tmp_path / "a" / MANIFEST).read_text().replace('"files": {', '"files": {\n  "../outside": "",')
    (tmp_path / "a" / MANIFEST).write_text(text)
    _folder(tmp_path / "a").replace(versions[3])
    assert (tmp_path / "outside").read_text() == "mine"


_HOLD = """
import sys, time
from pathlib import Path
from hlsgen.store.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_compilations_wait_for_each_other_and_a_killed_one_holds_nothing(
    tmp_path: Path, versions: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(tmp_path, versions[1])
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setattr("hlsgen.store.lock.WAIT_SECONDS", 0.2)
        with pytest.raises(UsageError) as caught:
            _folder(tmp_path).replace(versions[3])
        assert str(caught.value) == (
            f"{tmp_path} must not be in use by another hlsgen for longer than 0.2 s\n"
            "  fix: wait until it has ended, or choose another folder"
        )
        with pytest.raises(UsageError, match="must not be in use by another hlsgen"):
            Design.load(tmp_path)
        assert held(tmp_path) == versions[1]
        other.send_signal(signal.SIGKILL)
    _folder(tmp_path).replace(versions[3])
    assert Design.load(tmp_path).digest == versions[2].digest
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        pass
