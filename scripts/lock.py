# SPDX-License-Identifier: Apache-2.0
"""Write requirements.txt and requirements-dev.txt: constraints.txt with the hashes of each release's files.

    .venv/bin/python scripts/lock.py

Needs `uv` (`pip install uv`), which reads the hashes of all files of a release from the package index. What
`hlsgen[all]` needs goes into the first file, what tests need beyond it into the second.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
WITHOUT = {"torch"}
"""Its builds (CPU, CUDA) have one version and many files. pip prefers files whose hash it knows before it
downloads them, so that a list with hashes takes gigabytes of CUDA where a CPU build lies ready."""
HEAD = """\
# {title}, with the hashes of their files. Written by scripts/lock.py from constraints.txt.
# Use: pip install --no-deps --require-hashes -r {name}
"""


def needed(extras: tuple[str, ...]) -> set[str]:
    """Canonical names of all packages that `hlsgen[extras]` needs, itself left out."""
    found: set[tuple[str, str]] = set()
    waiting = [("hlsgen", extra) for extra in ("", *extras)]
    while waiting:
        item = waiting.pop()
        if item not in found:
            found.add(item)
            waiting += _requirements(*item)
    return {name for name, _ in found} - {"hlsgen"}


def _requirements(name: str, extra: str) -> Iterator[tuple[str, str]]:
    """Packages and extras that an extra of an installed package asks for; none where it is not installed."""
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": extra}):
            for wanted in ("", *requirement.extras):
                yield canonicalize_name(requirement.name), wanted


def hashed() -> dict[str, str]:
    """Canonical name to its pinned line with all hashes, torch left out."""
    command = ["uv", "pip", "compile", "--no-deps", "--generate-hashes", "--python-version", "3.11"]
    command += ["--no-annotate", "--no-header", "--quiet", str(ROOT / "constraints.txt")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.findall(r"^(\S+==\S+(?: \\\n    --hash=\S+)+)$", text, re.MULTILINE)
    lines = {canonicalize_name(block.partition("==")[0]): block for block in blocks}
    return {name: block for name, block in lines.items() if name not in WITHOUT}


def main() -> None:
    """Write both files."""
    lines, run = hashed(), needed(("all",))
    files = {
        "requirements.txt": ("What hlsgen[all] needs", sorted(lines.keys() & run)),
        "requirements-dev.txt": ("What its tests need beyond requirements.txt", sorted(lines.keys() - run)),
    }
    for name, (title, names) in files.items():
        text = HEAD.format(title=title, name=name) + "".join(f"{lines[package]}\n" for package in names)
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
