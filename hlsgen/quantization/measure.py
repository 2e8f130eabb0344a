# SPDX-License-Identifier: Apache-2.0
"""The integer graph beside the float graph on the kept calibration images, tensor by tensor."""

from __future__ import annotations

import math

import numpy as np

from hlsgen.ir import Graph, TensorType, batch_size, quantize_images, walk
from hlsgen.numerics import HIDDEN
from hlsgen.ops import Activation, Choose, IntegerExp, IntegerRoute
from hlsgen.ops.norm import IntegerNorm
from hlsgen.ops.pointwise import Function, function
from hlsgen.ops.route import GATE_BITS, split
from hlsgen.progress.steps import step
from hlsgen.quantization import findings
from hlsgen.quantization.calibrate import Calibration
from hlsgen.quantization.report import NormReport, Report, TensorReport
from hlsgen.quantization.routing import RoutingCount, RoutingReport, routed_by, same_choices

ROUNDING = 1e-11
"""A sum of squares without its mean counts as zero below this share of the whole sum."""


class _Centred:
    """Sums by element over the images of one task."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.images = 0
        self.reference, self.error = np.zeros(shape), np.zeros(shape)

    def update(self, reference: np.ndarray, error: np.ndarray) -> None:
        self.images += len(reference)
        for total, values in ((self.reference, reference), (self.error, error)):
            total += values[0] if len(values) == 1 else values.sum(0)

    def constant(self) -> np.ndarray:
        """Sums of squares [2] of the part that all images share, of the reference and of the error."""
        return np.array([_squares(total) for total in (self.reference, self.error)]) / max(self.images, 1)


class _Errors:
    """Sums over the sample of one tensor; `routed`: its rows are those of experts."""

    def __init__(self, kind: TensorType, routed: bool) -> None:
        self.type, self.routed = kind, routed
        self.low, self.high = math.inf, -math.inf
        self.saturated = self.elements = 0
        self.zero = True
        """Whether every integer is zero."""
        self.squares, self.constant = np.zeros(2), np.zeros(2)
        """Sums of squares of the reference and of the error: of all, and of the part that images share."""
        self._centred: _Centred | None = None
        self._images = 0

    def update(self, golden: np.ndarray, real: np.ndarray, reference: np.ndarray) -> None:
        """Take a batch; `real` becomes the error."""
        if not golden.size:
            return
        low, high = float(reference.min()), float(reference.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.saturated += self._beyond(golden, reference, low, high)
        error = np.subtract(real, reference, out=real)
        self.squares += _squares(reference), _squares(error)
        self.elements += reference.size
        self.zero = self.zero and not golden.any()
        if not self.routed:
            self._centred = self._centred or _Centred(reference.shape[1:])
            self._centred.update(reference, error)

    def _beyond(self, golden: np.ndarray, reference: np.ndarray, lowest: float, highest: float) -> int:
        low, high = self.type.integer_range
        scale, count = self.type.scale or 1.0, 0
        if highest > (high + 0.5) * scale:
            count += int(np.count_nonzero((golden == high) & (reference > (high + 0.5) * scale)))
        if lowest < (low - 0.5) * scale:
            count += int(np.count_nonzero((golden == low) & (reference < (low - 0.5) * scale)))
        return count

    def finish_task(self) -> None:
        """All images of a task were seen."""
        if self._centred is not None:
            self.constant += self._centred.constant()
            self._images, self._centred = max(self._images, self._centred.images), None

    @property
    def sqnr_db(self) -> float:
        return _ratio(*self.squares)

    @property
    def centred_db(self) -> float | None:
        if self._images < 2:
            return None
        rest = self.squares - self.constant
        return _ratio(*np.where(rest > ROUNDING * self.squares, rest, 0.0))


def _squares(values: np.ndarray) -> float:
    flat = values.reshape(-1)
    return float(np.einsum("i,i->", flat, flat))


def _ratio(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal else -math.inf


def dequantize(op: object, kind: TensorType, array: np.ndarray) -> np.ndarray:
    """Integers of one tensor to floats, in a new array.

    A softmax row is divided by its sum, as the context does; a routing keeps its indices.
    """
    if isinstance(op, IntegerExp):
        return array / np.maximum(array.sum(-1, keepdims=True), 1)
    if isinstance(op, IntegerRoute):
        chosen, gates = split(np.asarray(array))
        return np.concatenate([chosen, gates * 2.0**-GATE_BITS], -1)
    return np.asarray(array, np.float64) * (kind.scale or 1.0)


def _shown(
    golden: np.ndarray, real: np.ndarray, floats: np.ndarray, addends: np.ndarray, zero: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits where exp looks at them: of hidden keys 0, and of others none below what exp shows of a row."""
    hidden = np.broadcast_to(addends == HIDDEN, golden.shape)
    largest = floats.max(-1, keepdims=True)
    floor = np.where(np.isneginf(largest), 0.0, largest) - zero
    real, floats = (np.where(hidden, 0.0, np.maximum(each, floor)) for each in (real, floats))
    return golden, real, floats


def _seen(
    golden: np.ndarray, real: np.ndarray, floats: np.ndarray, kind: TensorType, table: tuple[Function, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a table reads, of `kind`; beyond its ends it counts where the results differ by half a unit."""
    function, unit = table
    low, high = (end * (kind.scale or 1.0) for end in kind.integer_range)
    inside = np.clip(floats, low, high)
    beyond = floats != inside
    differs = np.abs(function(floats[beyond]) - function(inside[beyond])) > unit / 2
    inside[beyond] = np.where(differs, floats[beyond], inside[beyond])
    return golden, real, inside


def measure(reference: Graph, integer: Graph, seen: Calibration, most: int) -> Report:
    """Run both graphs on the kept calibration images and compare every tensor."""
    return _Measurement(reference, integer, seen).run(most)


class _Measurement:
    """Sums over the kept images and all tasks."""

    def __init__(self, reference: Graph, integer: Graph, seen: Calibration) -> None:
        self.reference, self.integer, self.seen = reference, integer, seen
        self.kinds = {integer.input: integer.input_type} | {node.name: node.type for node in integer}
        self.ops = {node.name: node.op for node in integer}
        self.routed = routed_by(reference)
        self.router_logits = {
            node.inputs[0]
            for task in range(integer.tasks)
            for node in integer.for_task(task)
            if isinstance(node.op, IntegerRoute)
        }
        self.errors = {
            name: _Errors(kind, name in self.routed)
            for name, kind in self.kinds.items()
            if not isinstance(self.ops.get(name), Choose)
        }
        self.tables = {
            node.inputs[0]: (function(node.op.function), self.kinds[node.name].scale or 1.0)
            for node in reference
            if isinstance(node.op, Activation)
        }
        self.routing: dict[tuple[str, int], RoutingCount] = {}
        self.outputs: dict[tuple[int, str], tuple[list[np.ndarray], list[np.ndarray]]] = {
            (task, name): ([], []) for task in range(integer.tasks) for name in integer.results(task).values()
        }
        """Integers and floats by task and output, batch by batch."""

    def run(self, most: int) -> Report:
        size, sample = batch_size(self.reference, most), self.seen.sample
        with step("measure", self.integer.tasks * len(sample)) as told:
            for task in range(self.integer.tasks):
                for images in told.parts(sample, size):
                    self._batch(images, task)
                for error in self.errors.values():
                    error.finish_task()
        rows = tuple(_row(name, self.ops.get(name), error, self.seen) for name, error in self.errors.items())
        routing = tuple(count.report() for count in self.routing.values())
        warnings = self._warnings(rows, routing)
        return Report(rows, warnings, self.seen.images, len(sample), routing, norms=_norms(self.integer))

    def _warnings(
        self, rows: tuple[TensorReport, ...], routing: tuple[RoutingReport, ...]
    ) -> tuple[str, ...]:
        images = len(self.seen.sample)
        largest = {name: growth.largest for name, growth in self.seen.growth.items()}
        lost = [row.name for row in rows if self.errors[row.name].zero and max(-row.low, row.high) > 0.0]
        outputs = [
            findings.output_warnings(rows, name, *map(np.concatenate, both))
            for (_, name), both in self.outputs.items()
        ]
        found = (
            *self.seen.warnings,
            findings.silent_warning(self.reference, largest),
            findings.lost_warning(rows, lost, images),
            findings.channel_warning(self.reference, self.integer),
            *(text for texts in outputs for text in texts),
            *findings.routing_warnings(routing),
        )
        return tuple(dict.fromkeys(text for text in found if text))

    def _batch(self, images: np.ndarray, task: int) -> None:
        routes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        logits: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        both = zip(
            walk(self.integer, quantize_images(images, self.integer.input_type), task),
            walk(self.reference, images, task),
            strict=True,
        )
        for (name, golden), (_, floats) in both:
            real = dequantize(self.ops.get(name), self.kinds[name], golden)
            values = golden, real, floats
            if (addends := getattr(self.ops.get(name), "addends", None)) is not None:
                values = _shown(golden, real, floats, addends, self.seen.depth)
            if name in self.tables:
                values = _seen(golden, real, floats, self.kinds[name], self.tables[name])
            if name in self.router_logits:
                logits[name] = golden, floats
            if name in self.routed:
                route = self.routed[name]
                if name == route:
                    routes[name] = golden, floats
                    count = self._count(name, task)
                    count.update(routes[name], logits[count.logits])
                    values = tuple(split(value)[1] for value in values)
                same = same_choices(*routes[route])
                values = tuple(value.reshape(*same.shape, -1)[same] for value in values)
            for kept, value in zip(self.outputs.get((task, name), ()), (golden, floats), strict=False):
                kept.append(value.copy())
            self.errors[name].update(*values)

    def _count(self, name: str, task: int) -> RoutingCount:
        if (name, task) not in self.routing:
            self.routing[name, task] = RoutingCount(self.integer.for_task(task), name, task)
        return self.routing[name, task]


def _norms(graph: Graph) -> tuple[NormReport, ...]:
    """The norms whose elements have shifts."""
    found = [
        (node.name, node.op.shifts)
        for node in graph
        if isinstance(node.op, IntegerNorm) and node.op.shifts is not None
    ]
    return tuple(
        NormReport(name, shifts.size, int(np.count_nonzero(shifts)), int(shifts.max()))
        for name, shifts in found
    )


def _row(name: str, op: object, error: _Errors, seen: Calibration) -> TensorReport:
    growth = seen.growth.get(name)
    return TensorReport(
        name=name,
        op=type(op).__name__ if op else "input",
        low=float(growth.low if growth else error.low),
        high=float(growth.high if growth else error.high),
        scale=float(error.type.scale or 1.0),
        bits=error.type.bits,
        saturated=error.saturated,
        elements=error.elements,
        sqnr_db=error.sqnr_db,
        centred_db=error.centred_db,
    )
