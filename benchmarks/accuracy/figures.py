# SPDX-License-Identifier: Apache-2.0
"""Figures of integers beside floats: features and classes. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hlsgen.display.share import QUANTILE, Share
from hlsgen.evaluation.measures import centred, cosines
from hlsgen.quantization.noise import decibels


@dataclass(frozen=True, kw_only=True)
class Features:
    """Vectors of the integer model beside those of the float model."""

    name: str
    db: float | None
    """Signal to noise; None where nothing differs."""
    centred_db: float | None
    """The same of what differs between images."""
    cosine: float
    """Mean over all vectors of the cosine between both."""
    least_cosine: float


@dataclass(frozen=True)
class Difference:
    """A share less another one of the same images, and its interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Classes of both models; `drop` is what the integers lose, without labels all three are None."""

    same: Share
    """Images for which both models have one class."""
    floats: Share | None = None
    integers: Share | None = None
    drop: Difference | None = None


def features(name: str, found: np.ndarray, real: np.ndarray) -> Features:
    """Of arrays [N, ..., width]; each row along the last axis is one vector."""
    error = found - real
    each = cosines(found.reshape(-1, found.shape[-1]), real.reshape(-1, real.shape[-1]))
    return Features(
        name=name,
        db=decibels(real, error),
        centred_db=decibels(centred(real), centred(error)) if len(real) > 1 else None,
        cosine=float(each.mean()),
        least_cosine=float(each.min()),
    )


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """The share of `first` less that of `second`, of truths [N] about the same images.

    The interval is Wald's with one more image for each of the two ways to differ (Bonett and Price, Adjusted
    Wald confidence interval for a difference of binomial proportions based on paired data, 2012).
    """
    count = len(first)
    only, other = int((first & ~second).sum()), int((second & ~first).sum())
    shares = (only + 1) / (count + 2), (other + 1) / (count + 2)
    middle = shares[0] - shares[1]
    half = QUANTILE * math.sqrt((sum(shares) - middle**2) / (count + 2))
    return Difference((only - other) / count, max(-1.0, middle - half), min(1.0, middle + half))


def classes(found: np.ndarray, real: np.ndarray, labels: np.ndarray | None) -> Classes:
    """Of logits [N, ..., classes] and labels [N, ...]; of equal logits the first class wins."""
    chosen, wanted = found.argmax(-1).reshape(-1), real.argmax(-1).reshape(-1)
    same = _share(chosen == wanted)
    if labels is None:
        return Classes(same=same)
    true = labels.reshape(-1)
    return Classes(
        same=same,
        floats=_share(wanted == true),
        integers=_share(chosen == true),
        drop=difference(wanted == true, chosen == true),
    )


def _share(truths: np.ndarray) -> Share:
    return Share(int(truths.sum()), truths.size)


def plain(value: Any) -> Any:
    """Figures as data for JSON."""
    if isinstance(value, Share):
        return value.data()
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
