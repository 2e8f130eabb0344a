# SPDX-License-Identifier: Apache-2.0
"""The facts of a report: the design, its accuracy, its predicted time, its size."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.fit.estimate import Fit
from hlsgen.machine.time.cycles import Prediction
from hlsgen.machine.time.plan import Routing
from hlsgen.quantization.findings import differing, few_as_float
from hlsgen.store.compiled import Compiled


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
        """Warnings of the calibration and of the stored samples."""
        return (*self.design.quantization.get("warnings", ()), *self._differing())

    def _differing(self) -> list[str]:
        """Low agreement on the stored samples, by the rule that the quantizer has."""
        a = self.accuracy
        decibel = a.logits_db if a.centred_db is None else a.centred_db
        if a.same_class is None or decibel is None or not differing(a.same_class, a.images, decibel):
            return []
        return [few_as_float(a.same_class, a.images, "stored samples")]
