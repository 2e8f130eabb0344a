# SPDX-License-Identifier: Apache-2.0
"""`hlsgen ops`."""

from __future__ import annotations

import argparse

from hlsgen.cli.answer import Answer

HELP = "show which op is supported in which place, and what it may follow"
EPILOG = (
    "Places: front end, quantizer, golden model, lowering, the machine's modes in every execution, tests."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The form of the table."""
    parser.add_argument("--markdown", action="store_true", help="print the table of README.md")


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.cli.op_table.matrix`."""
    from hlsgen.cli.op_table import follows, markdown, matrix, text

    rows = matrix()
    data = {"rows": [row.data for row in rows], "follows": follows()}
    return Answer(data, markdown() if options.markdown else text(rows))
