# SPDX-License-Identifier: Apache-2.0
"""The facts of a report: the design, its accuracy, its predicted time, its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.fit.estimate import Fit
from hlsgen.machine.time.cycles import Prediction
from hlsgen.machine.time.plan import Routing
from hlsgen.quantization.findings import differing, few_as_float
from hlsgen.store.compiled import Compiled
from hlsgen.store.evaluated import Evaluated


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """On the design's samples, against their labels and the float model."""

    images: int
    integer: int | None
    """Images that the integer model gets right; None without labels."""
    float: int | None
    """Images that the float model gets right; None without labels or without its logits."""
    same_class: int | None
    """Images that both give the same class; None for outputs that are no row of logits."""
    logits_db: float | None
    """Signal to quantization noise of all logits, or of the first output."""
    centred_db: float | None = None
    """The same of what differs between images: each logit's mean over the images is taken away from signal
    and error. None for a single image."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A compiled model, and what to expect of it."""

    design: Compiled
    """The design that the figures are of."""
    accuracy: Accuracy
    """Its accuracy on its samples."""
    evaluated: Mapping[int, Evaluated]
    """Its accuracy by task, as it was evaluated last; the report shows it in place of that on the samples."""
    prediction: Prediction
    """Cycles of an image with an external memory, as the cycle model predicts them."""
    fit: Fit
    """Multiplier and RAM blocks that it needs of its board, estimated."""
    board_cycles: int | None
    """Cycles predicted for a board that has the Image on the chip; None for other boards."""
    routing: Routing
    """The task and the queues that were predicted: those of the first stored sample."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the calibration, and of the last evaluation or the stored samples."""
        return (*self.design.quantization.get("warnings", ()), *self._differing())

    def _differing(self) -> list[str]:
        """Low agreement on the images evaluated last, else on the stored samples, by the quantizer's rule."""
        a, found = self.accuracy, list[str]()
        if 0 not in self.evaluated:  # samples are the first task's
            found += _low(a.same_class, a.images, a.logits_db, a.centred_db, "stored samples")
        for item in self.evaluated.values():
            if item.shares.same and item.outputs:
                first, same = item.outputs[0], item.shares.same.count
                found += _low(same, item.images, first.db, first.centred_db, "images evaluated")
        return found


def _low(
    same: int | None, images: int, plain_db: float | None, centred_db: float | None, which: str
) -> list[str]:
    """The warning about few images with the float model's class, where there is one."""
    decibel = plain_db if centred_db is None else centred_db
    if same is None or decibel is None or not differing(same, images, decibel):
        return []
    return [few_as_float(same, images, which)]
