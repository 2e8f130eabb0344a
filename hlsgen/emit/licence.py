# SPDX-License-Identifier: Apache-2.0
"""The licence of what hlsgen writes: its text for generated folders, its line for generated sources."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

FILE = "LICENSE"
"""Name of the licence's text in a generated folder."""
LINE = "SPDX-License-Identifier: Apache-2.0"


def licence() -> str:
    """The text, from the installed package or, where it was not installed, from the checkout."""
    try:
        text = distribution("hlsgen").read_text(f"licenses/{FILE}")
    except PackageNotFoundError:
        text = None
    return text or (Path(__file__).resolve().parents[2] / FILE).read_text("utf-8")
