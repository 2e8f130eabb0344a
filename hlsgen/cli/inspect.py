# SPDX-License-Identifier: Apache-2.0
"""`hlsgen inspect`."""

from __future__ import annotations

import argparse

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import model_options, path, shape
from hlsgen.errors import EXIT_OK, EXIT_UNSUPPORTED
from hlsgen.frontend.inputs.shipped import about_models
from hlsgen.progress import plans
from hlsgen.progress.steps import plan

HELP = "show every op of a model, whether it is supported, and all problems at once"
EPILOG = f"""{about_models()}Exits with 3 when the model can't be compiled.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL and its input shape."""
    parser.add_argument("model", metavar="MODEL", type=path)
    parser.add_argument(
        "--shape", metavar="CxHxW", type=shape, help="the model's input, if the factory returns none"
    )
    model_options(parser)


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.pipeline.inspect`."""
    plan(*plans.INSPECT)
    from hlsgen.pipeline import inspect

    report = inspect(
        options.model, options.shape, options.outputs, weights=options.weights, compare=options.compare
    )
    return Answer(report.as_dict(), str(report), EXIT_OK if report.supported else EXIT_UNSUPPORTED)
