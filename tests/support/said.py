# SPDX-License-Identifier: Apache-2.0
"""What a command said on stderr besides its steps."""

from __future__ import annotations

import re

from hlsgen.cli import VERBS


def without_steps(errors: str) -> str:
    """The text without lines like `hlsgen: 1/4 load`, and `hlsgen: report` after a silence."""
    return re.sub(rf"^hlsgen: (\d+/\d+ .*|{'|'.join(VERBS)})\n", "", errors, flags=re.MULTILINE)
