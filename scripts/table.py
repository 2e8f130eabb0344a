# SPDX-License-Identifier: Apache-2.0
"""Rewrite README.md's op table: `python scripts/table.py`."""

from __future__ import annotations

import re
from pathlib import Path

from hlsgen.cli.op_table import markdown, matrix

README = Path(__file__).resolve().parent.parent / "README.md"
TABLE = re.compile(r"(?<=\n## Ops\n\n).*?(?=\n\n`make table`)", re.DOTALL)


def main() -> None:
    """Replace what stands between the heading and the note below the table."""
    text, count = TABLE.subn(lambda _: markdown(matrix()), README.read_text())
    if count != 1:
        raise SystemExit("README.md must hold one op table below '## Ops'")
    README.write_text(text)


if __name__ == "__main__":
    main()
