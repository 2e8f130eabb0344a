# SPDX-License-Identifier: Apache-2.0
"""Measures of outputs: ranks of labels, confusion, cosine."""

from __future__ import annotations

import numpy as np

from hlsgen.display.share import Share


def in_first(logits: np.ndarray, labels: np.ndarray, count: int) -> Share:
    """Images whose label [N] is among the `count` largest of their logits [N, classes].

    Of equal logits the first class is the larger one, as `argmax` has it. A label without a logit is never
    among them.
    """
    known = labels < logits.shape[1]
    own = np.take_along_axis(logits, np.where(known, labels, 0)[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(1)
    return Share(int((known & (rank < count)).sum()), len(labels))


def confusion(labels: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Images [classes, classes] by label and by the class that was found; other labels are left out."""
    table = np.zeros((classes, classes), np.int64)
    known = labels < classes
    np.add.at(table, (labels[known], found[known]), 1)
    return table


def centred(values: np.ndarray) -> np.ndarray:
    """Values [N, ...] without what all N share: the mean over the images is taken away."""
    return values - values.mean(0)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of the angle between the rows of two arrays [N, elements]; 0 for a row of zeros."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(1) / np.where(lengths, lengths, 1.0)
