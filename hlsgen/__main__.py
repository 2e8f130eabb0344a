# SPDX-License-Identifier: Apache-2.0
"""`python -m hlsgen` is `hlsgen`."""

from __future__ import annotations

import sys

from hlsgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
