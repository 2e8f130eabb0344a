# SPDX-License-Identifier: Apache-2.0
"""Agreement of the integers with the own runtime of a model that is quantized already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hlsgen.display.share import Share
from hlsgen.errors import UsageError
from hlsgen.evaluation.measures import centred, in_first
from hlsgen.quantization.noise import decibels


@dataclass(frozen=True, kw_only=True)
class OwnFigures:
    """The first output beside that of the model's own runtime."""

    same: Share | None
    """Images for which both have one class; None where the output is no row of logits."""
    db: float | None
    """Signal to difference of all images; None without a difference."""
    centred_db: float | None
    """The same of what differs between images; None for one image."""

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        same = None if self.same is None else self.same.data()
        return {"same": same, "db": self.db, "centred_db": self.centred_db}

    def __str__(self) -> str:
        parts = [] if self.same is None else [f"same class: {self.same}"]
        parts += ["equal" if self.db is None else f"{self.db:.1f} dB"]
        parts += [] if self.centred_db is None else [f"{self.centred_db:.1f} dB centred"]
        return f"own        integer as the model's own runtime: {', '.join(parts)}"


def own_figures(golden: np.ndarray, scale: float, own: np.ndarray) -> OwnFigures:
    """Of the integers [N, ...] of the first output and the own runtime's reals [N, elements]."""
    found = golden.reshape(len(golden), -1) * scale
    own = np.asarray(own, np.float64).reshape(len(own), -1)
    if own.shape != found.shape:
        raise UsageError(f"own must have the output's shape {list(found.shape)}, not {list(own.shape)}")
    error, rows = found - own, golden[0].size == golden.shape[-1] > 1
    return OwnFigures(
        same=in_first(found, own.argmax(1), 1) if rows else None,
        db=decibels(own, error),
        centred_db=decibels(centred(own), centred(error)) if len(own) > 1 else None,
    )
