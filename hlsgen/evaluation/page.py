# SPDX-License-Identifier: Apache-2.0
"""An evaluation as one HTML page: shares, confusion, and the images that went wrong."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from hlsgen.emit.page import data_page
from hlsgen.evaluation.evaluation import Evaluation

EDGE = 128
"""Pixels of a picture's longer edge at most; larger ones lose rows and columns."""


def evaluation_page(title: str, images: np.ndarray, found: Sequence[Evaluation]) -> str:
    """The page's text, for the images [N, C, H, W] and the tasks that were evaluated on them."""
    shown = {index for item in found for index in _shown(item)}
    figures = {
        "title": title,
        "tasks": [item.data() for item in found],
        "pictures": {str(index): picture(images[index]) for index in sorted(shown)},
    }
    return data_page("evaluation", figures)


def _shown(found: Evaluation) -> list[int]:
    """Images that the page shows."""
    wrong = [item[0] for item in found.classes.wrong] if found.classes else []
    return wrong + [index for output in found.outputs for index, _ in output.worst]


def picture(image: np.ndarray) -> dict[str, Any]:
    """An image [C, H, W] as bytes: its smallest value is black, its largest white.

    One channel is grey, three are colours; of another number the first is shown.
    """
    step = -(-max(image.shape[1:]) // EDGE)
    kept = image[:, ::step, ::step] if len(image) == 3 else image[:1, ::step, ::step]
    low, high = float(kept.min()), float(kept.max())
    grey = np.rint((kept - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8)
    pixels = np.broadcast_to(grey, (3, *grey.shape[1:])).transpose(1, 2, 0)
    return {
        "height": grey.shape[1],
        "width": grey.shape[2],
        "rgb": base64.b64encode(pixels.tobytes()).decode(),
    }
