# SPDX-License-Identifier: Apache-2.0
"""Rewrite what is generated in README.md and docs/: `python scripts/table.py`."""

from __future__ import annotations

import re
from pathlib import Path

from hlsgen.cli import command_table
from hlsgen.cli.op_table import markdown

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMANDS = ROOT / "docs/commands.md"
TABLE = re.compile(r"(?<=\n## Ops\n\n).*?(?=\n\n`make table`)", re.DOTALL)


def main() -> None:
    """Replace README.md's op table and the page of commands."""
    text, count = TABLE.subn(lambda _: markdown(), README.read_text())
    if count != 1:
        raise SystemExit("README.md must hold one op table below '## Ops'")
    README.write_text(text)
    COMMANDS.write_text(command_table.page())


if __name__ == "__main__":
    main()
