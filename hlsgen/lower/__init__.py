# SPDX-License-Identifier: Apache-2.0
"""Integer Graph -> Program and Image."""

from hlsgen.lower.lower import Lowered, lower

__all__ = ["Lowered", "lower"]
