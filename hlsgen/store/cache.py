# SPDX-License-Identifier: Apache-2.0
"""The user's cache: what can be made again, kept between designs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: `$HLSGEN_CACHE`, `$XDG_CACHE_HOME/hlsgen` or `~/.cache/hlsgen`."""
    if own := os.environ.get("HLSGEN_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hlsgen"
