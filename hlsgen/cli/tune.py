# SPDX-License-Identifier: Apache-2.0
"""`hlsgen tune`."""

from __future__ import annotations

import argparse
import dataclasses
import math
import warnings
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hlsgen.cli.answer import Answer
from hlsgen.cli.compile import asked, source
from hlsgen.cli.place import check_file, write_file
from hlsgen.cli.values import number, path, positive
from hlsgen.errors import QuantizationWarning
from hlsgen.progress import plans
from hlsgen.progress.steps import plan, step

if TYPE_CHECKING:
    from hlsgen.configuration.schema import Configuration
    from hlsgen.pipeline import ReadModel

HELP = "what each tensor costs in accuracy, and the quantizer's options that give it back"
EPILOG = """Without a target: each tensor alone at its integers, each layer alone at 8 and 4 bits, and the
options that help the worst. With a target: options are added, the cheapest for the machine first, each only
where it helps, until the target is met; -o writes them as an hlsgen.toml.

examples:
  hlsgen tune digits
  hlsgen tune digits --target-db 41 -o hlsgen.toml
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, its images, the target and the file."""
    source(parser)
    parser.add_argument(
        "--samples",
        metavar="DATA",
        type=path,
        help="images to judge by, with classes for --target-drop (default: held-out or calibration)",
    )
    parser.add_argument(
        "--target-db", metavar="DB", type=number, help="signal to noise of what differs between images"
    )
    parser.add_argument(
        "--target-drop", metavar="POINTS", type=number, help="most that top-1 accuracy may lose, in points"
    )
    parser.add_argument(
        "--count", metavar="N", type=positive, help="images to judge by, the first ones (default: all)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=path, help="write an hlsgen.toml")


def run(options: argparse.Namespace) -> Answer:
    """Call `sensitivity`, or `search` for a target."""
    check_file(options.output)
    targeted = options.target_db is not None or options.target_drop is not None
    plan(*(plans.SEARCH if targeted else plans.TUNE))
    from hlsgen.configuration.write import configuration_text
    from hlsgen.pipeline import read_model

    configuration = asked(options)
    read = read_model(configuration)
    if targeted:
        data, text, configuration = _search(options, configuration, read)
    else:
        data, text = _table(options, configuration, read)
    if options.output:
        write_file(Path(options.output), configuration_text(configuration))
        text += (
            f"\nwritten to {options.output}\nnext: hlsgen compile --config {quote(options.output)} -o build"
        )
    return Answer(data, text, warnings=tuple(read.notes))


def _table(
    options: argparse.Namespace, configuration: Configuration, read: ReadModel
) -> tuple[dict[str, Any], str]:
    """The sensitivity of every tensor and layer."""
    from hlsgen.quantization import quantize
    from hlsgen.quantization.tuning.sensitivity import sensitivity

    with step("quantize"), warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # compile says them
        made = quantize(read.graph, read.calibration.images, configuration.quantizer)
    found = sensitivity(made, read.kept.images[: options.count])
    rows = {name: [_plain(row) for row in getattr(found, name)] for name in ("tensors", "weights")}
    return {"images": found.images, **rows, "suggestions": found.suggestions()}, str(found)


def _search(
    options: argparse.Namespace, configuration: Configuration, read: ReadModel
) -> tuple[dict[str, Any], str, Configuration]:
    """The first options that meet the target, and the configuration with them."""
    from hlsgen.quantization.tuning.search import Target, search

    target = Target(options.target_db, options.target_drop)
    judged, labels = read.kept.images[: options.count], read.kept.labels
    found = search(
        read.graph, read.calibration.images, judged, target, configuration.quantizer,
        None if labels is None else labels[: options.count],
    )  # fmt: skip
    tries = [
        {"option": item.option and item.option.name, "value": item.option and item.option.value,
         "kept": item.kept, **_plain(item.quality)}
        for item in found.tries
    ]  # fmt: skip
    changed = dataclasses.replace(configuration, quantizer=found.config)
    data = {"met": found.met, "tries": tries, "quantizer": changed.plain()["quantizer"]}
    return data, str(found), changed


def _plain(row: Any) -> dict[str, Any]:
    """Plain data for JSON; a ratio that is not finite is None."""
    values = dataclasses.asdict(row)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
