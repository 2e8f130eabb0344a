# SPDX-License-Identifier: Apache-2.0
"""What is measured: a float Graph, images to calibrate with, and others to judge on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hlsgen.ir import Graph


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and its images, [N, C, H, W] after the model's own normalisation."""

    graph: Graph
    calibration: np.ndarray
    images: np.ndarray
    labels: tuple[np.ndarray | None, ...] = (None,)
    """By task: classes [N, ...] of the rows of its output."""
    parts: Mapping[str, slice] = field(default_factory=dict)
    """Name -> rows of the output that are features; without names the whole output is."""

    def first(self, count: int) -> Subject:
        """The subject with so many of its images."""
        labels = tuple(None if each is None else each[:count] for each in self.labels)
        return replace(self, images=self.images[:count], labels=labels)


def _digits() -> Subject:
    from hlsgen.examples.digits.data import calibration, heldout
    from hlsgen.examples.digits.model import digits
    from hlsgen.pipeline import capture

    images, labels = heldout()
    graph = capture(digits(), images[:1])
    return Subject(graph=graph, calibration=calibration()[0], images=images, labels=(labels,))


def _digits_moe() -> Subject:
    from hlsgen.examples.digits.data import calibration, heldout, patch_kinds
    from hlsgen.examples.digits.moe import digits_moe
    from hlsgen.pipeline import capture

    images, labels = heldout()
    graph = capture(digits_moe(), (images[:1], 0))
    wanted = labels, patch_kinds(images)
    return Subject(graph=graph, calibration=calibration()[0], images=images, labels=wanted)


def _m3vit() -> Subject:
    from hlsgen.frontend.inputs.images import load_data
    from hlsgen.frontend.inputs.model import load_model
    from hlsgen.pipeline import capture

    name = "m3vit-tiny"
    loaded = load_model(name)
    graph = capture(loaded.model, loaded.example)
    images = load_data(name, heldout=True).images
    return Subject(graph=graph, calibration=load_data(name).images, images=images, labels=(None, None))


def _pairs(variant: str) -> Callable[[], Subject]:
    def make() -> Subject:
        from benchmarks.accuracy.pairs_data import calibration, judged
        from hlsgen.examples.pairs.model import pairs
        from hlsgen.pipeline import capture

        images, labels = judged()
        graph = capture(pairs(variant), images[:1])
        return Subject(graph=graph, calibration=calibration()[0], images=images, labels=(labels,))

    return make


def _dino() -> Subject:
    from benchmarks.accuracy import dino

    calibration = dino.images(64, judged=False)
    return Subject(
        graph=dino.graph(calibration[:1]),
        calibration=calibration,
        images=dino.images(210, judged=True),
        parts={"class token": slice(0, 1), "patches": slice(1, None)},
    )


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "digits": _digits,
    "digits-moe": _digits_moe,
    "m3vit-tiny": _m3vit,
    "pairs": _pairs(""),
    "pairs-class": _pairs("class"),
    "pairs-channels": _pairs("channels"),
    "pairs-corners": _pairs("corners"),
    "dinov2-s14": _dino,
}
