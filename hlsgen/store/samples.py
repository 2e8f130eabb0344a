# SPDX-License-Identifier: Apache-2.0
"""Images that travel with a design, so that every level can run real input."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from hlsgen.errors import ClippedInput, UsageError
from hlsgen.ir import TensorType

CLIPPED_SHARE = 0.01
"""Pixels that may lie outside the range of the calibration images without a word about it."""


@dataclass(frozen=True)
class Samples:
    """Quantized images with labels and float logits; raises `UsageError` where their numbers differ."""

    images: np.ndarray
    """int8 [N, C, H, W], as `Design.quantize_input` makes them."""
    labels: np.ndarray | None = None
    """Classes [N], if they are known."""
    reference: np.ndarray | None = None
    """The float model's logits [N, classes], if they are known."""

    def __post_init__(self) -> None:
        for name, value in (("labels", self.labels), ("reference", self.reference)):
            if value is not None and len(value) != len(self.images):
                raise UsageError(f"samples: {name} must be {len(self.images)}, not {len(value)}")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Samples:
        """The first `count` images with their labels and logits."""
        cut = [None if value is None else value[:count] for value in (self.labels, self.reference)]
        return Samples(self.images[:count], *cut)


def quantize_images(images: np.ndarray, input_type: TensorType) -> np.ndarray:
    """Real images [N, C, H, W] as the design's integers: nearest, half up, saturated.

    One image [C, H, W] is taken too. Raises `UsageError` for another shape or values that are not finite, and
    warns with `ClippedInput` when more than `CLIPPED_SHARE` of the pixels are saturated.
    """
    array = np.asarray(images)
    array = array[None] if array.shape == input_type.shape else array
    if array.shape[1:] != input_type.shape or array.ndim != len(input_type.shape) + 1:
        wanted = ", ".join(map(str, input_type.shape))
        raise UsageError(f"images must have shape [N, {wanted}], not {list(np.shape(images))}")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise UsageError("images must be finite real numbers")
    low, high = input_type.integer_range
    scale = input_type.scale or 1.0
    scaled = np.floor(array.astype(np.float64) / scale + 0.5)
    clipped = ((scaled < low) | (scaled > high)).mean() if scaled.size else 0.0
    if clipped > CLIPPED_SHARE:
        warnings.warn(
            f"{clipped:.1%} of the pixels are clipped: they lie outside "
            f"{low * scale:.4g}..{high * scale:.4g}, the range of the calibration images; "
            "give the images the same preprocessing (0..1 or 0..255, mean, deviation)",
            ClippedInput,
            stacklevel=3,
        )
    return np.clip(scaled, low, high).astype(np.int8 if low < 0 else np.uint8)
