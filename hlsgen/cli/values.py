# SPDX-License-Identifier: Apache-2.0
"""Values of options."""

from __future__ import annotations

import argparse
import re


def shape(text: str) -> tuple[int, int, int]:
    """CxHxW."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"shape must be CxHxW, for example 3x224x224, not {text!r}")
    channels, height, width = map(int, match.groups())
    return channels, height, width


def natural(text: str) -> int:
    """0 or a positive integer."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"must be 0 or a positive integer, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A positive integer."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def frequency(text: str) -> float:
    """A positive number of MHz."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"must be a positive number of MHz, not {text!r}")
    return float(text)
