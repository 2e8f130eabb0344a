# SPDX-License-Identifier: Apache-2.0
"""`hlsgen explain`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hlsgen.cli.answer import Answer

HELP = "explain a code of an error: what it means, an example, what to do"
EPILOG = """Without a code it lists all of them.

example:
  hlsgen explain HG005
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The codes."""
    parser.add_argument("codes", metavar="CODE", nargs="*", type=str.upper, help="as an error names it")


def run(options: argparse.Namespace) -> Answer:
    """Print pages of `hlsgen.errors.pages`."""
    from hlsgen.errors import UsageError, shown
    from hlsgen.errors.codes import Code
    from hlsgen.errors.pages import PAGES, text

    known = [code.value for code in Code]
    unknown = [code for code in options.codes if code not in known]
    if unknown:
        raise UsageError(f"CODE must be one of {known[0]}..{known[-1]}, not {shown(unknown[0])}")
    chosen = [Code(code) for code in options.codes]
    data = {"pages": [{"code": code, **asdict(PAGES[code])} for code in chosen or Code]}
    if not chosen:
        return Answer(data, "\n".join(f"{code}  {PAGES[code].title}" for code in Code))
    return Answer(data, "\n\n".join(text(code) for code in chosen))
