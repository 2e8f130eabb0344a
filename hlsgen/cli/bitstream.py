"""`hlsgen bitstream`."""

from __future__ import annotations

import argparse
import sys

from hlsgen.cli.answer import Answer

HELP = "build the bitstream of an exported project, where its tools are installed"
EPILOG = """DIR is a project folder, or a build folder with one; without a project it is exported first.
Exits with 6 when a tool is missing and with 7 when a tool failed or timing was missed.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """DIR."""
    parser.add_argument("directory", metavar="DIR", help="project or build folder")


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.export.build_bitstream`."""
    from hlsgen.export import build_bitstream

    if not options.json:
        print("hlsgen: bitstream (some minutes)", file=sys.stderr)
    result = build_bitstream(options.directory)
    return Answer(result.data, str(result))
