# SPDX-License-Identifier: Apache-2.0
"""Options of the quantizer, the cheapest for the machine first, until the model is as good as it is to be."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hlsgen.errors import QuantizationWarning, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, results
from hlsgen.progress.steps import step
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.noise import differing
from hlsgen.quantization.quantized import Quantized, quantize

LEAST_GAIN_DB = 0.2
"""An option that gives less is not kept: it would cost something for nothing."""


@dataclass(frozen=True)
class Option:
    """An entry of `QuantizeConfig`, and what it costs the machine."""

    name: str
    value: Any
    cost: str


OPTIONS = (
    Option("centred", True, "nothing: tables and biases hold it"),
    Option("activations", "mse:5", "nothing"),
    Option("activations", "min-max", "nothing"),
    Option("weights", "mse", "nothing"),
    Option("numerator_rounding", "diffused", "nothing"),
    Option("outliers_apart", True, "two narrow layers and an addition"),
    Option("norm_factors", "auto", "3 bits for each element of a norm, and a shift"),
    Option("norm_factors", "on", "3 bits for each element of a norm, and a shift"),
    Option("activation_bits", 10, "activation tables of 1,024 entries in each lane"),
    Option("logit_width", 12, "exp tables of 4,096 entries, and wider scores"),
    Option("numerator_bits", 12, "twice the steps of contexts"),
)


@dataclass(frozen=True)
class Quality:
    """What is left of the worst output."""

    db: float
    """Signal to noise of what differs between images, in dB; plain for a single image."""
    drop: float | None = None
    """Points of top-1 accuracy below the float model's; None without labels."""

    def __str__(self) -> str:
        drop = "" if self.drop is None else f", top-1 {self.drop:+.2f} points below float"
        return f"{self.db:.1f} dB{drop}"


@dataclass(frozen=True)
class Target:
    """When the search ends."""

    db: float | None = None
    drop: float | None = None

    def __post_init__(self) -> None:
        if self.db is None and self.drop is None:
            raise UsageError("target must be decibels or points of accuracy", code=Code.QUANTIZER)

    def met(self, found: Quality) -> bool:
        """Whether a quality is enough; without labels a drop never is."""
        enough = self.db is None or found.db >= self.db
        return enough and (self.drop is None or (found.drop is not None and found.drop <= self.drop))


@dataclass(frozen=True)
class Try:
    """One configuration that was tried."""

    option: Option | None
    """None: where the search began."""
    quality: Quality
    kept: bool

    def __str__(self) -> str:
        if self.option is None:
            return f"{'as asked':32}  {self.quality}"
        name = f"{self.option.name} = {self.option.value!r}"
        cost = f"costs {self.option.cost}" if self.kept else "not kept"
        return f"{name:32}  {self.quality}; {cost}"


@dataclass(frozen=True)
class Found:
    """Where a search ended."""

    config: QuantizeConfig
    made: Quantized
    tries: tuple[Try, ...]
    met: bool

    def __str__(self) -> str:
        last = "the target is met" if self.met else "the target is not met with any option"
        return "\n".join([*map(str, self.tries), last])


def search(
    graph: Graph,
    calibration: np.ndarray,
    judged: np.ndarray,
    target: Target,
    config: QuantizeConfig,
    labels: np.ndarray | None = None,
) -> Found:
    """Add options to `config` until `target` is met, each only where it helps.

    Parameters
    ----------
    graph
        The front end's float Graph.
    calibration
        Images [N, C, H, W] for the integer ranges.
    judged
        Images [M, C, H, W] that the quality is measured on, others than the calibration's.
    labels
        Classes [M] of the judged images, for a target in points of accuracy.

    Raises `UsageError` for a drop without labels, and what `quantize` raises.
    """
    if target.drop is not None and labels is None:
        raise UsageError("a target in points of accuracy needs the images' classes", code=Code.QUANTIZER)
    judge = _Judge(graph, judged, labels)
    made = _quantized(graph, calibration, config)
    best = judge(made)
    tries = [Try(None, best, True)]
    todo = [option for option in OPTIONS if getattr(config, option.name) != option.value]
    with step("options", len(todo)) as told:
        for option in todo:
            if target.met(best):
                break
            asked = dataclasses.replace(config, **{option.name: option.value})
            other = _quantized(graph, calibration, asked)
            quality = judge(other)
            kept = quality.db >= best.db + LEAST_GAIN_DB
            tries.append(Try(option, quality, kept))
            if kept:
                config, made, best = asked, other, quality
            told.advance(1)
    return Found(config, made, tuple(tries), target.met(best))


def _quantized(graph: Graph, calibration: np.ndarray, config: QuantizeConfig) -> Quantized:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # the design that is made of it has them
        return quantize(graph, calibration, config)


class _Judge:
    """The float model's outputs on the judged images, for all tasks."""

    def __init__(self, graph: Graph, images: np.ndarray, labels: np.ndarray | None) -> None:
        self.images, self.labels = images, labels
        self.real = [results(graph, images, task=task) for task in range(graph.tasks)]

    def __call__(self, made: Quantized) -> Quality:
        pairs = list(self._pairs(made))
        db = min((differing(real, found) for real, found in pairs), default=math.inf)
        return Quality(db, self._drop(*pairs[0]) if self.labels is not None else None)

    def _pairs(self, made: Quantized) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each output of the float and of the integer model."""
        integers = made.quantize_input(self.images)
        for task, wanted in enumerate(self.real):
            tensors, found = made.graph.results(task), results(made.graph, integers, task=task)
            for name, real in wanted.items():
                yield real, made.dequantize(tensors[name], found[name])

    def _drop(self, real: np.ndarray, found: np.ndarray) -> float:
        """Points of accuracy that are lost, of the first output."""
        right = [(each.reshape(len(each), -1).argmax(-1) == self.labels).mean() for each in (real, found)]
        return float(100.0 * (right[0] - right[1]))
