# SPDX-License-Identifier: Apache-2.0
"""`hlsgen bitstream`."""

from __future__ import annotations

import argparse

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import natural, path, positive
from hlsgen.errors import UsageError
from hlsgen.progress import plans
from hlsgen.progress.steps import plan, say

HELP = "build the bitstream of an exported project, where its tools are installed"
EPILOG = """DIR is a project folder, or a build folder with one; without a project it is exported first.
With nextpnr the first seed that meets timing wins; the number of jobs does not change which.
With --verify the netlist that place and route is given is simulated first, in Verilator: the whole board at
its pins, with images of the self test sent by the project's own program for the host. Every logit and class
must be equal to golden. It takes some minutes to build, and some seconds an image.
Exits with 5 when the netlist differs, with 6 when a tool is missing and with 7 when a tool failed or timing
was missed.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The build folder or project, nextpnr's placements, the check of the netlist."""
    parser.add_argument("directory", metavar="DIR", type=path, help="project or build folder")
    parser.add_argument(
        "--seeds", metavar="N", nargs="+", type=natural, help="placements to try (default 1 2 3)"
    )
    parser.add_argument("--jobs", metavar="N", type=positive, help="how many at a time (default: processors)")
    parser.add_argument("--verify", action="store_true", help="simulate the netlist before nextpnr places it")
    parser.add_argument("--images", metavar="N", type=positive, help="to verify with (default 8)")


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.bitstream.build.build_bitstream`."""
    if options.images and not options.verify:
        raise UsageError("--images must come with --verify")
    plan(*plans.bitstream(verify=options.verify))
    from hlsgen.bitstream.build import build_bitstream
    from hlsgen.bitstream.result import Wanted

    wanted = Wanted(images=options.images, progress=say) if options.verify else None
    result = build_bitstream(options.directory, seeds=options.seeds, jobs=options.jobs, verification=wanted)
    return Answer(result.data, str(result))
