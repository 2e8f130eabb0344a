# SPDX-License-Identifier: Apache-2.0
"""Each tensor alone at its integers, each layer alone at fewer bits: what is left of the outputs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hlsgen.ir import Graph, Node, elements, evaluate
from hlsgen.progress.steps import step
from hlsgen.quantization.noise import differing
from hlsgen.quantization.quantized import Quantized
from hlsgen.quantization.roles import kinds
from hlsgen.quantization.tuning.forms import Form, Weighted, fewer_bits, others, today

ELEMENTS = 1 << 27
"""Most elements, over all tensors and images, that are kept at once."""
MOST_IMAGES = 16
WORST = 8
"""Tensors for which other options are tried."""
GAIN_DB = 0.5
"""An option is named where it gives so much."""
BITS = (8, 4)
"""Widths of a layer's weights that are tried."""


@dataclass(frozen=True)
class Alone:
    """The outputs' signal to noise, in dB, where one tensor alone is as its integers show it."""

    name: str
    what: str
    """The tensor's op, or `weights`."""
    bits: int
    db: float
    """Of what differs between images (plain for a single image), of the worst output; inf without error."""
    better: tuple[tuple[str, float], ...] = ()
    """Options that give more for this tensor, the best first, each with its dB."""


@dataclass(frozen=True)
class Sensitivity:
    """What each tensor and each layer costs alone, the dearest first; `str` is a table."""

    tensors: tuple[Alone, ...]
    weights: tuple[Alone, ...]
    """Each layer at each width of `BITS`."""
    images: int

    def suggestions(self) -> list[str]:
        """A sentence for each tensor that another option helps."""
        return [
            f"%{row.name} ({row.what}): {row.db:.1f} dB; "
            + ", ".join(f"{option} gives {db:.1f}" for option, db in row.better)
            for row in self.tensors
            if row.better
        ]

    def __str__(self) -> str:
        layers = list(dict.fromkeys(row.name for row in self.weights))
        alone = {(row.name, row.bits): row.db for row in self.weights}
        wide = max(map(len, ["tensor alone", *(row.name for row in self.tensors), *layers]))
        lines = [f"{'tensor alone':{wide}}  {'op':16}  bits  outputs, dB"]
        lines += [f"{row.name:{wide}}  {row.what:16}  {row.bits:4}  {row.db:11.1f}" for row in self.tensors]
        lines += ["", f"{'weights alone':{wide}}" + "".join(f"  {bits} bits, dB" for bits in BITS)]
        lines += [
            f"{name:{wide}}" + "".join(f"  {alone[name, bits]:10.1f}" for bits in BITS) for name in layers
        ]
        lines += ["", *self.suggestions(), f"measured on {self.images} images"]
        return "\n".join(lines)


def sensitivity(made: Quantized, images: np.ndarray, *, worst: int = WORST) -> Sensitivity:
    """Measure each tensor and each layer of a quantized model alone.

    images: [N, C, H, W], prepared as for the model; as many of them as memory allows are used, evenly spaced,
    at most 16. worst: tensors for which other options are tried. Raises `UsageError` for images of another
    shape.
    """
    graph = made.reference
    made.quantize_input(images)  # raises for what is no image
    count = max(1, min(len(images), MOST_IMAGES, ELEMENTS // elements(graph)))
    probe = _Probe(made, images[np.linspace(0, len(images) - 1, count).astype(int)])
    tensors = sorted(probe.tensors(), key=lambda row: row.db)
    weights = sorted(probe.weights(), key=lambda row: row.db)
    tried = [dataclasses.replace(row, better=probe.better(row)) for row in tensors[:worst]]
    return Sensitivity((*tried, *tensors[worst:]), tuple(weights), count)


class _Probe:
    """The float values of some images, and what becomes of the outputs when a tensor changes."""

    def __init__(self, made: Quantized, images: np.ndarray) -> None:
        self.graph, self.integer = made.reference, made.graph
        self.kinds = kinds(made.reference)
        self.tasks = [
            (graph, dict(evaluate(graph, images)))
            for graph in (made.reference.for_task(task) for task in range(made.reference.tasks))
        ]

    def tensors(self) -> Iterator[Alone]:
        """Every tensor that is a rounding of the float one."""
        nodes = [node for node in self.graph if not node.op.moves()]  # type: ignore[attr-defined]
        with step("tensors alone", len(nodes)) as told:
            for node in nodes:
                kind = self.integer.type_of(node.name)
                show = today(node, kind, self.integer)
                if show is not None:
                    yield Alone(node.name, type(node.op).__name__, kind.bits, self._db(Form("", show), node))
                told.advance(1)

    def weights(self) -> Iterator[Alone]:
        """Every layer with weights of each width."""
        layers = [node for node in self.graph if isinstance(node.op, Weighted)]
        with step("layers alone", len(layers)) as told:
            for node in layers:
                for bits in BITS:
                    assert isinstance(node.op, Weighted)
                    changed = dataclasses.replace(node, op=fewer_bits(node.op, bits))
                    yield Alone(node.name, "weights", bits, self._replaced(changed))
                told.advance(1)

    def better(self, row: Alone) -> tuple[tuple[str, float], ...]:
        """Options that help the tensor, the best first."""
        node = self.graph.node(row.name)
        values = next(values[row.name] for _, values in self.tasks if row.name in values)
        tried = [(form.option, self._db(form, node)) for form in others(self.graph, node, self.kinds, values)]
        found = [(option, db) for option, db in tried if db >= row.db + GAIN_DB]
        return tuple(sorted(found, key=lambda pair: -pair[1]))

    def _db(self, form: Form, node: Node) -> float:
        """The outputs' dB where a node's result has a form."""
        return self._worst(node.name, lambda values: form.show(values[node.name]))

    def _replaced(self, node: Node) -> float:
        """The same where a node has another op."""
        return self._worst(node.name, lambda values: _computed(node, values, {}))

    def _worst(self, name: str, changed: Callable[[Mapping[str, np.ndarray]], np.ndarray]) -> float:
        found = [
            self._outputs(graph, values, name, changed(values))
            for graph, values in self.tasks
            if name in values
        ]
        return min(found, default=math.inf)

    def _outputs(self, graph: Graph, values: Mapping[str, np.ndarray], name: str, value: np.ndarray) -> float:
        """The worst output's dB when a tensor has another value."""
        changed = {name: value}
        for node in graph:
            if node.name not in changed and any(source in changed for source in node.inputs):
                changed[node.name] = _computed(node, values, changed)
        found = [differing(values[out], changed[out]) for out in graph.outputs if out in changed]
        return min(found, default=math.inf)


def _computed(node: Node, values: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray]) -> np.ndarray:
    arguments: Sequence[np.ndarray] = [changed.get(name, values[name]) for name in node.inputs]
    return node.op.reference(*arguments)
