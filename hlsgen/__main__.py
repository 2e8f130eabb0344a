# SPDX-License-Identifier: Apache-2.0
"""`python -m hlsgen` is `hlsgen`."""

from __future__ import annotations

from hlsgen.cli import entry

if __name__ == "__main__":
    entry()
