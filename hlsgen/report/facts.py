# SPDX-License-Identifier: Apache-2.0
"""What a report stands on: the design, its accuracy, its predicted time, its size."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.fit.estimate import Fit
from hlsgen.machine.time.cycles import Prediction
from hlsgen.machine.time.plan import Routing
from hlsgen.quantization.findings import differing
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
    """Images that both give the same class."""
    logits_db: float | None
    """Signal to quantization noise of all logits."""
    centred_db: float | None = None
    """The same of what differs between images: each logit's mean over the images is taken away from signal
    and error. None for a single image."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A compiled model, and what to expect of it."""

    design: Compiled
    accuracy: Accuracy
    prediction: Prediction
    fit: Fit
    board_cycles: int | None
    """Predicted on the board itself, where its Image lies on the chip and not in an external memory."""
    routing: Routing
    """The task and the queues that were predicted: those of the first stored sample."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its user should know, of calibration and of the stored samples."""
        return (*self.design.quantization.get("warnings", ()), *self._differing())

    def _differing(self) -> list[str]:
        """Low agreement on the stored samples, by the rule that the quantizer has."""
        a = self.accuracy
        decibel = a.logits_db if a.centred_db is None else a.centred_db
        if a.same_class is None or decibel is None or not differing(a.same_class, a.images, decibel):
            return []
        text = (
            f"the integer model gives the float model's class of only {a.same_class} of {a.images} stored "
            "samples; try calibration images that are like them, and see the tensors of the lowest centred dB"
        )
        return [text]
