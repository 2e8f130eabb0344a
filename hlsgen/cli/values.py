# SPDX-License-Identifier: Apache-2.0
"""Values of options, as the command line takes them."""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections.abc import Callable
from typing import Any

from hlsgen.errors import shown

_PART, _PATH = 255, 4095
"""Bytes of a file's name, and of a path."""


def path(text: str) -> str:
    """A path, or a name that stands for one, that a file system can have."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, not an empty text")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise argparse.ArgumentTypeError(f"must be a path without control characters, not {shown(text)}")
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > _PATH or max(map(len, encoded.split(b"/"))) > _PART:
        rule = f"a path of at most {_PATH} bytes, each name of at most {_PART}"
        raise argparse.ArgumentTypeError(f"must be {rule}, not {shown(text)}")
    return text


def shape(text: str) -> tuple[int, int, int]:
    """Channels, height and width of an image, written CxHxW."""
    from hlsgen.frontend.read.bounds import MOST_ELEMENTS

    match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        rule = "shape must be CxHxW, for example 3x224x224"
        raise argparse.ArgumentTypeError(f"{rule}, not {shown(text)}")
    channels, height, width = map(int, match.groups())
    if math.prod((channels, height, width)) > MOST_ELEMENTS:
        raise argparse.ArgumentTypeError(f"shape must be of at most {MOST_ELEMENTS} elements, not {text}")
    return channels, height, width


def array(text: str) -> str:
    """RxCxD that a machine can have; raises `UsageError` with all that is wrong."""
    from hlsgen.fit.options import parse_array
    from hlsgen.lower.size import ArrayShape

    rows, columns, depth = parse_array(text)
    ArrayShape(rows=rows, columns=columns, depth=depth)
    return text


def names(text: str) -> tuple[str, ...]:
    """Names of outputs, written A,B."""
    from hlsgen.ir import OUTPUT_NAME

    found = tuple(text.split(","))
    if len(text) > _PATH or not all(OUTPUT_NAME.fullmatch(name) for name in found):
        rule = "must be names of outputs, for example last_hidden_state,pooler_output"
        raise argparse.ArgumentTypeError(f"{rule}, not {shown(text)}")
    return found


def setting(text: str) -> tuple[str, Any]:
    """An entry of a table, written NAME=VALUE; the value as in TOML, texts also without quotes."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, for example logit_width=12, not {shown(text)}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def model_options(parser: argparse.ArgumentParser) -> None:
    """What can be said of a MODEL besides its shape."""
    parser.add_argument(
        "--outputs", metavar="A,B", type=names, help="outputs to keep (default: logits, or all of them)"
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        type=path,
        help="safetensors: weights of an example or a factory",
    )
    parser.add_argument(
        "--no-compare",
        dest="compare",
        action="store_false",
        help="don't compare the float Graph with the model on one image",
    )


def jobs_options(parser: argparse.ArgumentParser, default: str = "1") -> None:
    """Where much work runs."""
    text = f"processes here (default: {default}); with a queue, its jobs"
    parser.add_argument("--jobs", metavar="N", type=positive, help=text)
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        type=path,
        help="a Dask scheduler such as tcp://head:8786; or slurm, lsf, sge: jobs of that queue",
    )


def natural(text: str) -> int:
    """0 or a positive integer."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"must be 0 or a positive integer, not {shown(text)}")
    return int(text)


def port(text: str) -> int:
    """The number of a TCP port; 0 is any that is free."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port in 0..65535, not {shown(text)}")
    return int(text)


def positive(text: str) -> int:
    """A positive integer."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {shown(text)}")
    return int(text)


def frequency(text: str) -> float:
    """A positive number of MHz."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"must be a positive number of MHz, not {shown(text)}")
    return float(text)


def number(text: str) -> float:
    """A positive number."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {shown(text)}")
    return float(text)


def several(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """One or more values, written A,B."""

    def values(text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(kind(item) for item in text.split(",")))

    return values
