# SPDX-License-Identifier: Apache-2.0
"""What a command said on stderr besides its steps."""

from __future__ import annotations

import re


def without_steps(errors: str) -> str:
    """The text without lines like `hlsgen: 1/4 load`."""
    return re.sub(r"^hlsgen: \d+/\d+ .*\n", "", errors, flags=re.MULTILINE)
