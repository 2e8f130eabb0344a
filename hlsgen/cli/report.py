# SPDX-License-Identifier: Apache-2.0
"""`hlsgen report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hlsgen.cli.answer import Answer
from hlsgen.cli.place import check_file, write_file
from hlsgen.cli.values import path

HELP = "write one HTML page about a design: time line, roofline, masks, memories, noise, resources"
EPILOG = """example:
  hlsgen report build/digits
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The build folder and the page to write."""
    parser.add_argument("directory", metavar="DIR", type=path, help="build folder")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=path, help="the page (default: DIR/report.html)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Call `Design.report` and write its page."""
    check_file(options.output)
    from hlsgen.design import Design

    report = Design.load(options.directory).report()
    place = Path(options.output) if options.output else Path(options.directory) / "report.html"
    text = report.html()
    write_file(place, text)
    data = {"file": str(place), "bytes": len(text.encode()), "report": report.data}
    return Answer(data, f"{report.summary}\nwritten to {place}", warnings=report.warnings)
