# SPDX-License-Identifier: Apache-2.0
"""Small HTML for notebooks: facts, tables, warnings; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

MOST_ROWS = 60
"""Rows of a table in a notebook; of longer ones the first are shown, and how many there are more."""
_CELL = ' style="text-align: left"'


def facts(title: str, items: Mapping[str, object], warnings: Iterable[str] = ()) -> str:
    """A title, a row for each fact, and warnings."""
    rows = "".join(
        f"<tr><th{_CELL}>{escape(name)}</th><td{_CELL}>{escape(str(value))}</td></tr>"
        for name, value in items.items()
    )
    bad = "".join(f'<p style="color: #b3261e">{escape(text)}</p>' for text in warnings)
    return f"<p><b>{escape(title)}</b></p><table><tbody>{rows}</tbody></table>{bad}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """At most `MOST_ROWS` rows of cells under their titles."""
    titles = "".join(f"<th{_CELL}>{escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td{_CELL}>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = len(rows) - MOST_ROWS
    rest = f"<p>and {more} more rows</p>" if more > 0 else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{rest}"


def count(number: int, name: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number:,} {name}" + ("" if number == 1 else "s")
