# SPDX-License-Identifier: Apache-2.0
"""`hlsgen compile`."""

from __future__ import annotations

import argparse
import sys
import warnings

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import positive, shape
from hlsgen.errors import QuantizationWarning

HELP = "quantize a model and write its build folder"
EPILOG = """MODEL is a shipped example, a .pt2 file of torch.export, or module:factory. Examples: digits,
awkward, and with random weights deit-tiny, deit-tiny-distilled, deit-small, vit-base.
DATA is a .npy or .npz file with preprocessed images [N, C, H, W], or a folder of such files.

example:
  hlsgen compile digits --board ulx3s-85f --array 4x4x8 -o build/digits
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL and where it goes."""
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "--calibration", metavar="DATA", help="images for the integer ranges; examples bring their own"
    )
    parser.add_argument(
        "--samples", metavar="DATA", help="images to keep for simulate (default: held-out or calibration)"
    )
    parser.add_argument(
        "--board", default="ulx3s-85f", help="board's name or TOML file (default: %(default)s)"
    )
    parser.add_argument("--array", metavar="RxCxD", help="rows, columns and depth (default: the board's)")
    parser.add_argument(
        "--row-width",
        metavar="ROWS",
        type=int,
        default=1,
        help="rows that load and drain handle in a cycle, for arrays of 2,048 and more products (default: 1)",
    )
    parser.add_argument(
        "--ring",
        metavar="BYTES",
        type=positive,
        default=256 * 1024,
        help="the weight ring's budget (default: %(default)s)",
    )
    parser.add_argument(
        "--attention",
        choices=("auto", "resident", "streamed"),
        default="auto",
        help="keys and values in the machine, in external memory, or where they fit (default: %(default)s)",
    )
    parser.add_argument(
        "--span",
        metavar="TILES",
        type=int,
        default=0,
        help="streamed: tiles of queries that share a reading of keys and values (default: 0, all)",
    )
    parser.add_argument(
        "--shape", metavar="CxHxW", type=shape, help="the model's input (default: the images')"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="build folder")


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.build`."""
    from hlsgen.pipeline import build

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # the answer carries them
        design = build(
            options.model,
            options.output,
            calibration=options.calibration,
            samples=options.samples,
            board=options.board,
            array=options.array,
            row_width=options.row_width,
            ring_bytes=options.ring,
            attention=options.attention,
            span=options.span,
            shape=options.shape,
            progress=lambda text: print(f"hlsgen: {text}", file=sys.stderr) if not options.json else None,
        )
    report = design.report()
    text = (
        f"{report.summary}\nwritten to {options.output}\nnext: hlsgen simulate {options.output} --level rtl"
    )
    return Answer({"directory": str(options.output), "report": report.data}, text, warnings=report.warnings)
