# SPDX-License-Identifier: Apache-2.0
"""Parts of Markdown pages that a script writes: between `<!-- made: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"(<!-- made: ([\w.]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def stated(page: str) -> dict[str, str]:
    """Name and text of each part, as the page has it."""
    return {match[2]: match[3] for match in BLOCK.finditer((DOCS / page).read_text())}


def rewrite(page: str, found: Mapping[str, str]) -> None:
    """Put the parts into the page; raises `SystemExit` when it has others."""
    path, names = DOCS / page, stated(page).keys()
    if names != found.keys():
        lacks, other = sorted(found.keys() - names), sorted(names - found.keys())
        raise SystemExit(f"docs/{page} must have the parts {lacks}, not {other}")
    text = BLOCK.sub(lambda match: f"{match[1]}{found[match[2]]}{match[4]}", path.read_text())
    path.write_text(text)
