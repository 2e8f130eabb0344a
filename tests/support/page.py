# SPDX-License-Identifier: Apache-2.0
"""A report's page as headless Chromium has it."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom")


def dom(place: Path) -> str:
    """The document as Chromium has it after the page's script has run."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: apt-get install chromium"
    command = [chromium, *CHROMIUM, f"--user-data-dir={place.parent / 'profile'}", place.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def cells(document: str, table: str) -> list[list[str]]:
    """The body of a table as text."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', document, re.DOTALL)
    assert body, f"no table {table}"
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]
