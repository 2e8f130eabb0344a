# SPDX-License-Identifier: Apache-2.0
"""The pages as a site: `make docs`, or `python -m scripts.site FOLDER`.

The pages stay as they are, for people who read them in the repository. The site is made of a copy: README.md
and CONTRIBUTING.md become pages, links follow, links to other files of the repository become code. The
sections of docs/README.md are the parts of the site. Every warning of Sphinx is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "docs/README.md": "index.md"}
"""Pages that are called otherwise in the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PICTURES = "pictures"


def pages() -> dict[str, Path]:
    """Name in the site to the page of the repository."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return {name_of(path): path for path in found}


def name_of(path: Path) -> str:
    """A page's name in the site."""
    inside = str(path.relative_to(ROOT))
    return NAMES.get(inside, path.name)


def rewritten(path: Path) -> str:
    """A page's text for the site."""

    def link(match: re.Match[str]) -> str:
        picture, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        place = (path.parent / target).resolve()
        if picture:
            return f"![{text}]({PICTURES}/{place.name})"
        if place.suffix == ".md" and place in pages().values():
            return f"[{text}]({name_of(place)}{anchor})"
        return text if text.startswith("`") else f"`{text}`"

    text = LINK.sub(link, path.read_text("utf-8"))
    return text + parts(text) if name_of(path) == "index.md" else text


def parts(index: str) -> str:
    """The lists of pages that the sections of the index name, as Sphinx takes them."""
    trees, seen = [], {"index.md"}
    for match in SECTION.finditer(index):
        named = [target for _, _, target, _ in LINK.findall(match[2]) if target in pages()]
        fresh = [name for name in dict.fromkeys(named) if name not in seen]
        seen.update(fresh)
        if not trees:
            fresh.insert(0, NAMES["README.md"])
            seen.add(NAMES["README.md"])
        lines = ["```{toctree}", ":hidden:", f":caption: {match[1]}", "", *fresh, "```", ""]
        trees.append("\n".join(lines))
    return "\n" + "\n".join(trees)


def stage(folder: Path) -> None:
    """Write the copy of the pages."""
    for name, path in pages().items():
        (folder / name).write_text(rewritten(path), "utf-8")
    shutil.copy(ROOT / "docs/conf.py", folder)
    (folder / PICTURES).mkdir()
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, folder / PICTURES)


def main(target: Path) -> int:
    """Build the site; returns Sphinx's exit code."""
    with tempfile.TemporaryDirectory() as name:
        stage(Path(name))
        command = [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            name,
            str(target),
        ]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if not code:
        print(f"written to {target}/index.html")
    return code


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
