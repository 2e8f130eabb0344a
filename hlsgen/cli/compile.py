# SPDX-License-Identifier: Apache-2.0
"""`hlsgen compile`."""

from __future__ import annotations

import argparse
import sys
import warnings
from shlex import quote

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import array, model_options, natural, path, positive, shape
from hlsgen.errors import CaptureWarning, QuantizationWarning
from hlsgen.fit.settings import DEFAULT_BOARD
from hlsgen.frontend.inputs.shipped import about_models

HELP = "quantize a model and write its build folder"
EPILOG = (
    about_models()
    + """DATA is a .npy or .npz file with preprocessed images [N, C, H, W], a folder of such files, or one of
pictures (.png, .jpg) with a preprocessor_config.json. Classes are 'labels' in the .npz file, sub-folders of
pictures, or lines PICTURE,CLASS in labels.csv.

example:
  hlsgen compile digits --board ulx3s-85f --array 4x4x8 -o build/digits
"""
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, its data, the machine and the build folder."""
    parser.add_argument("model", metavar="MODEL", type=path)
    parser.add_argument(
        "--calibration",
        metavar="DATA",
        type=path,
        help="images for the integer ranges; examples bring their own",
    )
    parser.add_argument(
        "--samples",
        metavar="DATA",
        type=path,
        help="images to keep for simulate (default: held-out or calibration)",
    )
    parser.add_argument(
        "--preprocessing",
        metavar="FILE",
        type=path,
        help="preprocessor_config.json for pictures (default: the one in MODEL's or DATA's folder)",
    )
    _machine(parser)
    parser.add_argument(
        "--shape", metavar="CxHxW", type=shape, help="the model's input (default: the images')"
    )
    model_options(parser)
    parser.add_argument(
        "--centred",
        action="store_true",
        help="move constants out of 8-bit tensors into biases: QuantizeConfig(centred=True)",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=path, required=True, help="build folder")


def _machine(parser: argparse.ArgumentParser) -> None:
    """Options of the machine."""
    parser.add_argument(
        "--board", default=DEFAULT_BOARD, type=path, help="board's name or TOML file (default: %(default)s)"
    )
    parser.add_argument(
        "--array", metavar="RxCxD", type=array, help="rows, columns and depth (default: the board's)"
    )
    parser.add_argument(
        "--row-width",
        metavar="ROWS",
        type=positive,
        help="rows that load and drain handle in a cycle (default: what the cycle model finds to pay)",
    )
    parser.add_argument(
        "--ring",
        metavar="BYTES",
        dest="ring_bytes",
        type=positive,
        help="the weight ring's budget (default: what the cycle model finds to pay)",
    )
    parser.add_argument(
        "--attention",
        choices=("auto", "resident", "streamed"),
        default="auto",
        help="keys and values in the machine, in external memory, or what is faster (default: %(default)s)",
    )
    parser.add_argument(
        "--span",
        metavar="TILES",
        type=natural,
        help="streamed: tiles of queries that share a reading of keys and values (default: 0, all)",
    )


def run(options: argparse.Namespace) -> Answer:
    """Call `hlsgen.build`."""
    from hlsgen.fit.options import Asked
    from hlsgen.pipeline import build
    from hlsgen.quantization.config import QuantizeConfig

    asked = Asked(**{name: getattr(options, name) for name in Asked.__annotations__})
    with warnings.catch_warnings():
        for kind in (QuantizationWarning, CaptureWarning):
            warnings.simplefilter("ignore", kind)  # the answer carries them
        design = build(
            options.model,
            options.output,
            calibration=options.calibration,
            samples=options.samples,
            preprocessing=options.preprocessing,
            shape=options.shape,
            outputs=options.outputs,
            weights=options.weights,
            compare=options.compare,
            config=QuantizeConfig(centred=options.centred),
            progress=lambda text: print(f"hlsgen: {text}", file=sys.stderr) if not options.json else None,
            **asked,
        )
    report = design.report()
    following = f"hlsgen simulate {quote(str(options.output))} --level rtl"
    text = f"{report.summary}\nwritten to {options.output}\nnext: {following}"
    return Answer({"directory": str(options.output), "report": report.data}, text, warnings=report.warnings)
