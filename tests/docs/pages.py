# SPDX-License-Identifier: Apache-2.0
"""The pages for people, and what they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DOCS = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in _DOCS))
FOLDERS = ("benchmarks", "docs", "examples", "hlsgen", "rtl", "scripts", "sim", "templates", "tests")
VARIABLE = re.compile(r"(?<![A-Za-z])[A-Z]{3,}(?![A-Za-z])")
"""What stands for something else in a path or a command: DIR, MODE, NAME."""

BUILT = ("rtl/top.v",)
"""Paths in a build folder."""


def text(page: str) -> str:
    """A page's Markdown."""
    return (ROOT / page).read_text("utf-8")


def links(page: str) -> list[str]:
    """Relative links, as they stand."""
    found = re.findall(r"\]\(([^)\s]+)\)", text(page))
    return [link for link in found if not link.startswith(("http:", "https:"))]


def anchors(page: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(page: str) -> Iterator[str]:
    """Each span of code, and each line of a block of code, outside of generated parts."""
    rest = re.sub(r"<!-- made: .*?<!-- end -->", "", text(page), flags=re.DOTALL)
    for block in re.findall(r"^```\w*\n(.*?)^```", rest, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    rest = re.sub(r"^```.*?^```", "", rest, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", rest):
        yield " ".join(span.split())


def paths(page: str) -> list[str]:
    """Paths of the repository that a page names in code."""
    found = [span for span in code(page) if re.fullmatch(r"[\w./{},*-]+", span)]
    return [path for path in found if path.split("/")[0] in FOLDERS and "/" in path and path not in BUILT]


def commands(page: str, *beginning: str) -> list[list[str]]:
    """Commands that begin with these words, split as a shell does; settings of variables left out."""
    found = []
    for line in code(page):
        try:
            words = shlex.split(line.replace("\\|", "|").strip().removeprefix("$ "))
        except ValueError:
            continue
        while words and re.fullmatch(r"[A-Z]+=\S*", words[0]):
            words.pop(0)
        if words[: len(beginning)] == list(beginning):
            found.append(words[len(beginning) :])
    return found
