"""Integer Graph -> Program and Image."""

from hlsgen.lower.lower import Lowered, lower

__all__ = ["Lowered", "lower"]
