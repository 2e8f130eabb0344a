# SPDX-License-Identifier: Apache-2.0
"""Images that travel with a design, so that every level can run real input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hlsgen.errors import ClippedInput, QuantizationWarning, UsageError
from hlsgen.ir import Graph, TensorType, quantize_images
from hlsgen.ir import outputs as first_output

KEPT = 512
"""Most images that a build folder keeps."""
KEPT_ELEMENTS, FEWEST_KEPT = 1 << 22, 16
"""Integers of all their outputs beyond which fewer images are kept, and how many at least."""
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


def clipped_pixels(images: np.ndarray, kind: TensorType) -> np.ndarray:
    """The share [N] of each image's pixels that `quantize_images` saturates, for images [N, C, H, W]."""
    scale = kind.scale or 1.0
    low, high = (end * scale for end in kind.integer_range)
    outside = (images < low - scale / 2) | (images >= high + scale / 2)
    return outside.mean(axis=tuple(range(1, images.ndim)))


def warn_of_clipped(images: np.ndarray, kind: TensorType) -> None:
    """Warn with `ClippedInput` when `quantize_images` saturates more than `CLIPPED_SHARE` of the pixels.

    The warning names the line that called the caller.
    """
    shares = clipped_pixels(images.reshape(-1, *kind.shape), kind) if images.size else np.zeros(1)
    if shares.mean() > CLIPPED_SHARE:
        low, high = (end * (kind.scale or 1.0) for end in kind.integer_range)
        clipped = (
            f"{shares.mean():.1%} of the pixels are clipped, in {(shares > 0).sum()} of {len(shares)} images"
        )
        warnings.warn(
            f"{clipped}: they lie outside {low:.4g}..{high:.4g}, the range of the calibration images; "
            "give the images the same preprocessing (0..1 or 0..255, mean, deviation)",
            ClippedInput,
            stacklevel=3,
        )


def constant_text(name: str, images: int) -> str:
    """The sentence about an output that no image changes; templates/device/output.py.j2 has it, too."""
    return (
        f"{name} is the same for all {images} images; try calibration images that differ, "
        "or another observer for the tensors of the lowest centred dB in the report"
    )


def warn_of_constant(outputs: Mapping[str, np.ndarray], images: np.ndarray) -> None:
    """Warn with `QuantizationWarning` of outputs [N, ...], by name, that no image of several changes.

    The warning names the line that called the caller.
    """
    if len(images) < 2 or (images == images[0]).all():
        return
    for name, found in outputs.items():
        if (found == found[0]).all():
            text = constant_text(name or "the output", len(images))
            warnings.warn(text, QuantizationWarning, stacklevel=3)


def kept_images(graph: Graph) -> int:
    """Most images that a build folder keeps of a model: fewer where its outputs are large."""
    elements = sum(math.prod(graph.type_of(name).shape) for name in set(graph.outputs))
    return min(KEPT, max(FEWEST_KEPT, KEPT_ELEMENTS // elements))


def make_samples(
    float_graph: Graph, graph: Graph, images: np.ndarray, labels: np.ndarray | None = None
) -> Samples:
    """Quantized images [N, C, H, W] with the float model's logits, at most `kept_images` of them.

    Raises `UsageError` for images of another shape.
    """
    images = np.asarray(images[: kept_images(graph)])
    if images.shape[1:] != graph.input_type.shape:
        wanted = ", ".join(map(str, graph.input_type.shape))
        raise UsageError(f"images must have shape [N, {wanted}], not {list(images.shape)}")
    reference = first_output(float_graph, images).reshape(len(images), -1)
    labels = None if labels is None else np.asarray(labels[: len(images)], np.int64)
    # Nothing is said of clipped pixels here: `hlsgen.build` says it of the samples as a whole.
    return Samples(quantize_images(images, graph.input_type), labels, reference)
