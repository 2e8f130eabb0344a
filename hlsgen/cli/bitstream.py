# SPDX-License-Identifier: Apache-2.0
"""`hlsgen bitstream`."""

from __future__ import annotations

import argparse
import sys

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import natural, path, positive

HELP = "build the bitstream of an exported project, where its tools are installed"
EPILOG = """DIR is a project folder, or a build folder with one; without a project it is exported first.
On an ECP5 the first seed that meets timing wins; the number of jobs does not change which.
Exits with 6 when a tool is missing and with 7 when a tool failed or timing was missed.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, and an ECP5's placements."""
    parser.add_argument("directory", metavar="DIR", type=path, help="project or build folder")
    parser.add_argument(
        "--seeds", metavar="N", nargs="+", type=natural, help="placements to try (default 1 2 3)"
    )
    parser.add_argument("--jobs", metavar="N", type=positive, help="how many at a time (default: processors)")


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.export.build_bitstream`."""
    from hlsgen.export import build_bitstream

    if not options.json:
        print("hlsgen: bitstream (some minutes)", file=sys.stderr)
    result = build_bitstream(options.directory, seeds=options.seeds, jobs=options.jobs)
    return Answer(result.data, str(result))
