# SPDX-License-Identifier: Apache-2.0
"""`hlsgen export`."""

from __future__ import annotations

import argparse
from shlex import quote

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import frequency, path
from hlsgen.progress import plans
from hlsgen.progress.steps import plan, step

HELP = "write a board's bitstream project from a build folder"
EPILOG = """example:
  hlsgen export build/digits --board ulx3s-85f
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The build folder, the board and the clock."""
    parser.add_argument("directory", metavar="DIR", type=path, help="build folder")
    parser.add_argument(
        "--board", type=path, help="board's name or TOML file (default: that of the compilation)"
    )
    parser.add_argument("--clock", type=frequency, metavar="MHZ", help="the accelerator's (default: board's)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=path, help="project folder (default: DIR/boards/BOARD)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Call `Design.export`."""
    plan(*plans.EXPORT)
    with step("load"):
        from hlsgen.design import Design

        design = Design.load(options.directory)
    place = design.export(options.board, options.output, options.clock)
    return Answer(
        {"directory": str(place)}, f"written to {place}\nnext: hlsgen bitstream {quote(str(place))}"
    )
