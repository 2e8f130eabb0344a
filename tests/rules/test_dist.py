# SPDX-License-Identifier: Apache-2.0
"""What leaves for a package index: equal trees give equal wheels, and an sdist is the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("examples", "rtl", "sim", "templates")
EPOCH = "1700000000"
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache", "sim_build", "hlsgen-crash-*"
)


def _copy(place: Path, *, links: bool = True) -> Path:
    """The tree in a folder of its own, with git's text in place of links as a clone without them has it."""
    shutil.copytree(ROOT, place, symlinks=True, ignore=_LEFT_OUT)
    for name in LINKS:
        link = place / "hlsgen" / name
        link.unlink()
        if links:
            link.symlink_to(Path("..") / name)
        else:
            link.write_text(f"../{name}")
    return place


def _build(source: Path, kind: str, out: Path) -> Path:
    """What a build front end gets from the tree: `sdist` or `wheel`."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{kind}",
        "--outdir",
        str(out),
        str(source),
    ]
    environ = os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
    subprocess.run(command, check=True, capture_output=True, env=environ)
    return next(out.iterdir())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    place = tmp_path_factory.mktemp("sdist")
    packed = _build(_copy(place / "tree"), "sdist", place / "out")
    with tarfile.open(packed) as archive:
        archive.extractall(place / "in", filter="data")
    return next((place / "in").iterdir())


def test_equal_trees_give_equal_wheels_with_links_and_without(tmp_path: Path, sdist: Path) -> None:
    first = _build(_copy(tmp_path / "one"), "wheel", tmp_path / "out1")
    other = _copy(tmp_path / "two", links=False)
    for path in other.rglob("*"):
        if path.is_file():
            os.utime(path, (1_600_000_000, 1_600_000_000))
    second = _build(other, "wheel", tmp_path / "out2")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(_build(sdist, "wheel", tmp_path / "out3")) as three:
        assert sorted(one.namelist()) == sorted(three.namelist())
        names = one.namelist()
    assert {"hlsgen/rtl/outside/top.py", "hlsgen/templates/licence.md.j2", "hlsgen/sim/harness/main.cpp"} <= {
        *names
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_an_sdist_holds_the_repository(sdist: Path) -> None:
    listed = _copy(sdist.parent / "tree")
    wanted = {str(p.relative_to(listed)) for p in listed.rglob("*") if p.is_file() and not p.is_symlink()}
    linked = tuple(f"hlsgen/{name}/" for name in LINKS)
    wanted = {path for path in wanted if not path.startswith(linked)} - {".gitignore"}
    held = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    assert wanted - held == set()


def test_the_tests_of_an_sdist_run(sdist: Path) -> None:
    # What `make test` does there first, without its installation: the links.
    script = (sdist / "scripts/setup").read_text()
    start = script.index("make_links() {")
    links = script[start : script.index("}\n", start) + 2]
    subprocess.run(["sh", "-euc", links + "make_links"], cwd=sdist, check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/rules/test_layout.py"]
    command += ["tests/machine/format/test_constants.py"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=sdist, capture_output=True, text=True, env=environ | {"PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stdout[-3000:]
