# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/errors.md and docs/command_line.md: `python -m scripts.errors` writes them."""

from __future__ import annotations

import argparse

from hlsgen.cli import VERBS, parser
from hlsgen.errors.codes import Code
from hlsgen.errors.pages import PAGES
from scripts.blocks import rewrite

COMMON = {"--help", "--json", "--quiet", "--verbose"}
"""Options of every verb, which the page explains once."""


def codes() -> dict[str, str]:
    """Every page of an error, under its code."""
    parts = []
    for code in Code:
        page = PAGES[code]
        parts.append(
            f"## {code}\n\n**{_escaped(page.title)}**: {_escaped(page.means)}\n\n"
            f"```text\n{page.example}\n```\n\n{_escaped(page.remedy)}\n"
        )
    return {"codes": "\n" + "\n".join(parts)}


def verbs() -> dict[str, str]:
    """Every verb with its arguments and options."""
    (chosen,) = (action for action in parser()._actions if action.dest == "verb")
    assert isinstance(chosen.choices, dict)
    parts = []
    for name in VERBS:
        verb: argparse.ArgumentParser = chosen.choices[name]
        rows = [_row(action) for action in verb._actions if not COMMON & set(action.option_strings)]
        table = "\n".join(["| argument | does |", "|---|---|", *rows, ""] if rows else [])
        parts.append(
            "\n\n".join(filter(None, (f"## hlsgen {name}", _escaped(verb.description or ""), table)))
        )
    return {"verbs": "\n" + "\n".join(parts)}


def _row(action: argparse.Action) -> str:
    value = action.metavar or ("\\|".join(map(str, action.choices or ())) or action.dest.upper())
    shown = value if isinstance(value, str) else " ".join(value)
    names = ", ".join(action.option_strings) if action.option_strings else ""
    takes = "" if action.nargs == 0 else shown
    text = (action.help or "").replace("%(default)s", str(action.default))
    return f"| `{' '.join(filter(None, (names, takes)))}` | {_escaped(text)} |"


def _escaped(text: str) -> str:
    """Text in a table or paragraph: nothing in it is markup but code."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write both."""
    rewrite("errors.md", codes())
    rewrite("command_line.md", verbs())


if __name__ == "__main__":
    main()
