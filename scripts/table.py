# SPDX-License-Identifier: Apache-2.0
"""Rewrite what is generated in README.md and docs/: `make table`."""

from __future__ import annotations

import re
from pathlib import Path

from hlsgen.cli import command_table
from hlsgen.cli.op_table import markdown
from hlsgen.emit.registers_page import registers_page

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMANDS, REGISTERS = ROOT / "docs/commands.md", ROOT / "docs/registers.md"
TABLE = re.compile(r"(?<=\n## Ops\n\n).*?(?=\n\n`make table`)", re.DOTALL)


def main() -> None:
    """Replace README.md's op table, the page of commands and that of registers."""
    text, count = TABLE.subn(lambda _: markdown(), README.read_text("utf-8"))
    if count != 1:
        raise SystemExit("README.md must hold one op table below '## Ops'")
    README.write_text(text, "utf-8")
    COMMANDS.write_text(command_table.page(), "utf-8")
    REGISTERS.write_text(registers_page(), "utf-8")


if __name__ == "__main__":
    main()
