# SPDX-License-Identifier: Apache-2.0
"""`hlsgen demo`."""

from __future__ import annotations

import argparse
import sys

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import port
from hlsgen.demo import MODELS
from hlsgen.errors import shown

HELP = "draw a digit on a local page, and let the simulated RTL decide"
EPILOG = """example:
  hlsgen demo                 both models; the first start builds their simulators, some tens of seconds
  hlsgen demo digits-moe --port 8080

The page shows the decision, its cycles, when each part of the model ran, every tensor as a picture, and that
all of them equal the golden model's. It is served on 127.0.0.1 alone and loads nothing from elsewhere.
Ctrl-C ends it.
"""


def _model(text: str) -> str:
    """A model that has a page."""
    if text not in MODELS:
        raise argparse.ArgumentTypeError(f"MODEL must be one of {', '.join(MODELS)}, not {shown(text)}")
    return text


def arguments(parser: argparse.ArgumentParser) -> None:
    """The models and the port."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="*", type=_model, help=f"{' or '.join(MODELS)} (default: both)"
    )
    parser.add_argument(
        "--port", metavar="N", type=port, default=8000, help="0: a free one (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Build the machines, then serve `hlsgen.demo.server.Demo` until Ctrl-C."""
    from hlsgen.demo.machine import Machine
    from hlsgen.demo.server import Demo

    machines = {}
    with Demo(machines, options.port) as server:  # a port that is taken is found before anything slow
        for model in dict.fromkeys(options.models or MODELS):
            print(
                f"hlsgen: {model}: capture, quantize, compile, build the simulator",
                file=sys.stderr,
                flush=True,
            )
            server.machines[model] = Machine(model)
        try:
            print(f"hlsgen: open {server.address} in a browser; Ctrl-C ends it", file=sys.stderr, flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)
        return Answer({"address": server.address, "models": list(server.machines)}, "ended")
