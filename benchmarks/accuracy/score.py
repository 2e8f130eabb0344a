# SPDX-License-Identifier: Apache-2.0
"""Run both models of a subject on its judged images, and figure."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.figures import Classes, Features, classes, features
from benchmarks.accuracy.subjects import Subject
from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, batch_size, quantize_images, walk
from hlsgen.ops import IntegerRoute, Route
from hlsgen.pipeline import quantize
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.routing import RoutingCount, RoutingReport

MOST = 64
"""Images that are evaluated at once, at most."""
Tensors = dict[tuple[int, str], np.ndarray]
"""Tensors of all images, by task and name."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The figures of a subject with one choice of options."""

    subject: str
    options: str
    images: int
    calibration: int
    features: tuple[Features, ...]
    classes: tuple[Classes | None, ...]
    """By task; None where the output has no classes."""
    routing: tuple[RoutingReport, ...]
    warnings: tuple[str, ...]
    quantize_seconds: float
    golden_seconds: float


class Judge:
    """Judges a subject with several options; the float model runs once."""

    def __init__(self, name: str, subject: Subject, most: int | None = None) -> None:
        """Run the float model, on the first `most` images."""
        subject = subject if most is None else subject.first(most)
        self._name, self._subject = name, subject
        self._size = batch_size(subject.graph, MOST)
        self._real = self._tensors(subject.graph, subject.images)

    def score(self, config: QuantizeConfig, options: str) -> Score:
        """Quantize and judge; `options` is how the configuration is called."""
        subject = self._subject
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", QuantizationWarning)
            graph = quantize(subject.graph, subject.calibration, config).graph
        made = time.perf_counter()
        found = self._tensors(graph, quantize_images(subject.images, graph.input_type))
        done = time.perf_counter()
        return Score(
            subject=self._name,
            options=options,
            images=len(subject.images),
            calibration=len(subject.calibration),
            features=tuple(self._features(graph, found)),
            classes=tuple(self._classes(found, graph, task) for task in range(graph.tasks)),
            routing=tuple(self._routing(graph, found)),
            warnings=tuple(str(item.message) for item in caught),
            quantize_seconds=made - start,
            golden_seconds=done - made,
        )

    def _tensors(self, graph: Graph, images: np.ndarray) -> Tensors:
        """Every task's output, its routings, and the logits that they choose from."""
        kept: dict[tuple[int, str], list[np.ndarray]] = defaultdict(list)
        for task in range(graph.tasks):
            wanted = {graph.for_task(task).output}.union(*_routes(graph, task))
            for start in range(0, len(images), self._size):
                for name, value in walk(graph, images[start : start + self._size], task):
                    if name in wanted:
                        kept[task, name].append(value)
        return {place: np.concatenate(values) for place, values in kept.items()}

    def _output(self, found: Tensors, graph: Graph, task: int) -> tuple[np.ndarray, np.ndarray]:
        """A task's output in both models, as real numbers."""
        name = graph.for_task(task).output
        real = self._real[task, self._subject.graph.for_task(task).output]
        return (found[task, name] * (graph.type_of(name).scale or 1.0)).reshape(real.shape), real

    def _features(self, graph: Graph, found: Tensors) -> list[Features]:
        result = []
        for task in range(graph.tasks):
            both = self._output(found, graph, task)
            name = "output" if graph.tasks == 1 else f"task {task}"
            parts = self._subject.parts or {name: slice(None)}
            result += [features(part, *(value[:, rows] for value in both)) for part, rows in parts.items()]
        return result

    def _classes(self, found: Tensors, graph: Graph, task: int) -> Classes | None:
        if self._subject.parts:
            return None
        output, real = self._output(found, graph, task)
        return classes(output, real, self._subject.labels[task])

    def _routing(self, graph: Graph, found: Tensors) -> list[RoutingReport]:
        result = []
        for task in range(graph.tasks):
            for mine, other in zip(_routes(graph, task), _routes(self._subject.graph, task), strict=True):
                count = RoutingCount(graph.for_task(task), mine[0], task)
                routes, logits = (
                    (found[task, a], self._real[task, b]) for a, b in zip(mine, other, strict=True)
                )
                count.update(routes, logits)
                result.append(count.report())
        return result


def _routes(graph: Graph, task: int) -> list[tuple[str, str]]:
    """Each routing of a task, and the logits that it chooses from."""
    return [
        (node.name, node.inputs[0])
        for node in graph.for_task(task)
        if isinstance(node.op, IntegerRoute | Route)
    ]
