# SPDX-License-Identifier: Apache-2.0
"""`hlsgen compile`."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import array, model_options, natural, path, positive, setting, shape
from hlsgen.errors import CaptureWarning, QuantizationWarning
from hlsgen.fit.settings import DEFAULT_BOARD
from hlsgen.frontend.inputs.shipped import about_models
from hlsgen.progress import plans
from hlsgen.progress.steps import plan, step

if TYPE_CHECKING:
    from hlsgen.configuration.schema import Configuration

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
    source(parser)
    parser.add_argument(
        "--samples",
        metavar="DATA",
        type=path,
        help="images to keep for simulate (default: held-out or calibration)",
    )
    _machine(parser)
    parser.add_argument(
        "--fit",
        action="store_true",
        help="search for the best machine on the board: array, and whatever else is not said",
    )
    parser.add_argument(
        "--jobs", metavar="N", type=positive, help="processes of --fit (default: one for each processor)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=path, required=True, help="build folder")


def source(parser: argparse.ArgumentParser) -> None:
    """MODEL, its calibration images, and the quantizer."""
    parser.add_argument("model", metavar="MODEL", type=path, nargs="?")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=path,
        help="hlsgen.toml: all of this, and the quantizer's options; options beside it have precedence",
    )
    parser.add_argument(
        "--calibration",
        metavar="DATA",
        type=path,
        help="images for the integer ranges; examples bring their own",
    )
    parser.add_argument(
        "--preprocessing",
        metavar="FILE",
        type=path,
        help="preprocessor_config.json for pictures (default: the one in MODEL's or DATA's folder)",
    )
    parser.add_argument(
        "--shape", metavar="CxHxW", type=shape, help="the model's input (default: the images')"
    )
    model_options(parser)
    parser.add_argument(
        "--quantizer",
        metavar="NAME=VALUE",
        type=setting,
        action="append",
        help="an entry of the table [quantizer]: weight_bits=4, norm_factors=auto, and so on; repeatable",
    )
    # Absent options are None, so that those of a file stand; the records know the defaults.
    parser.set_defaults(compare=None)


def _machine(parser: argparse.ArgumentParser) -> None:
    """Options of the machine."""
    parser.add_argument("--board", type=path, help=f"board's name or TOML file (default: {DEFAULT_BOARD})")
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
        help="keys and values in the machine, in external memory, or what is faster (default: auto)",
    )
    parser.add_argument(
        "--span",
        metavar="TILES",
        type=natural,
        help="streamed: tiles of queries that share a reading of keys and values (default: 0, all)",
    )


def run(options: argparse.Namespace) -> Answer:
    """Do what `hlsgen.build` does."""
    plan(*(plans.FITTED if options.fit else plans.COMPILE))
    from hlsgen.pipeline import build_configured

    configuration, fitter = asked(options), None
    if options.fit:
        from hlsgen.executors.choose import cores, executor
        from hlsgen.explore.fit import Fitter

        fitter = Fitter(executor(options.jobs or cores()))
    with warnings.catch_warnings():
        for kind in (QuantizationWarning, CaptureWarning):
            warnings.simplefilter("ignore", kind)  # the answer carries them
        design = build_configured(configuration, options.output, fitter)
    with step("report"):
        report = design.report()
    following = f"hlsgen simulate {quote(str(options.output))} --level rtl"
    fitted = fitter.lines if fitter else []
    text = "\n".join([report.summary, *fitted]) + f"\nwritten to {options.output}\nnext: {following}"
    data = {"directory": str(options.output), "report": report.data} | ({"fit": fitted} if fitted else {})
    return Answer(data, text, warnings=report.warnings)


def asked(options: argparse.Namespace) -> Configuration:
    """The file's configuration, if one is named, with the options that were given."""
    from hlsgen.configuration.read import configuration, read_configuration
    from hlsgen.configuration.schema import Configuration
    from hlsgen.fit.options import Asked
    from hlsgen.pipeline import usual_quantizer

    usual = Configuration(quantizer=usual_quantizer(options.model))
    base = read_configuration(Path(options.config)) if options.config else usual
    entries = dict(options.quantizer or ())
    checked = configuration({"quantizer": entries}).quantizer
    sections = {
        "model": {"name": options.model}
        | {name: getattr(options, name) for name in ("weights", "shape", "outputs", "compare")},
        "data": {name: getattr(options, name, None) for name in ("calibration", "samples", "preprocessing")},
        "quantizer": {name: getattr(checked, name) for name in entries},
        "machine": {name: getattr(options, name, None) for name in Asked.__annotations__},
    }
    return base.over(
        {
            section: {name: value for name, value in values.items() if value is not None}
            for section, values in sections.items()
        }
    )
