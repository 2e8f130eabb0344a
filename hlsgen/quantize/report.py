# SPDX-License-Identifier: Apache-2.0
"""What quantization did to each tensor, measured on calibration images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hlsgen.ir import Graph, TensorType, batch_size, evaluate
from hlsgen.ops import Choose, IntegerExp, IntegerRoute
from hlsgen.ops.route import GATE_BITS, split
from hlsgen.quantize.calibrate import Calibration
from hlsgen.quantize.routing import RoutingCount, RoutingReport, experts_of, routed_by, same_choices

NOISY_DB = 20.0
"""An output with less signal to quantization noise gets a warning."""


@dataclass(frozen=True)
class TensorReport:
    """One tensor: range seen in float, representation, and error of the golden model against float."""

    name: str
    op: str
    low: float
    high: float
    scale: float
    bits: int
    saturated: int
    """Elements at an end of the integer range whose float value lies beyond it."""
    elements: int
    sqnr_db: float
    """Signal to quantization noise, 10 log10(sum of squares / sum of squared errors); inf without error."""


@dataclass(frozen=True)
class Report:
    """All tensors in graph order, and warnings about the calibration."""

    tensors: tuple[TensorReport, ...]
    warnings: tuple[str, ...]
    images: int
    """Calibration images seen."""
    measured: int
    """Calibration images that saturation and noise were measured on."""
    routing: tuple[RoutingReport, ...] = ()
    """Agreement with the float model's choice of experts; values of experts count where it agrees."""

    def tensor(self, name: str) -> TensorReport:
        """The row of tensor `name`; raises `KeyError`."""
        return {row.name: row for row in self.tensors}[name]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a ratio that is not finite is None."""
        result = asdict(self)
        for row in result["tensors"]:
            row["sqnr_db"] = row["sqnr_db"] if math.isfinite(row["sqnr_db"]) else None
        return result

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.tensors)
        lines = [
            f"{'tensor':{width}}  {'lowest':>10}  {'highest':>10}  {'scale':>10}  bits  saturated  SQNR dB"
        ]
        lines += [
            f"{row.name:{width}}  {row.low:10.4g}  {row.high:10.4g}  {row.scale:10.4g}  {row.bits:4}"
            f"  {row.saturated:9}  {row.sqnr_db:7.1f}"
            for row in self.tensors
        ]
        lines += [
            f"{item.name}, task {item.task}: {item.agreeing} of {item.tokens} tokens go where the float "
            f"model sends them; tokens by expert {', '.join(map(str, item.load))}"
            for item in self.routing
        ]
        lines.append(f"measured on {self.measured} of {self.images} calibration images")
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"


class _Errors:
    """Sums over the sample of one tensor."""

    def __init__(self, kind: TensorType) -> None:
        self.type = kind
        self.low, self.high = math.inf, -math.inf
        self.signal = self.noise = 0.0
        self.saturated = self.elements = 0

    def update(self, golden: np.ndarray, real: np.ndarray, reference: np.ndarray) -> None:
        if not golden.size:
            return
        low, high = self.type.integer_range
        scale = self.type.scale or 1.0
        beyond = (golden == high) & (reference > (high + 0.5) * scale)
        beyond |= (golden == low) & (reference < (low - 0.5) * scale)
        error = real - reference
        self.low, self.high = min(self.low, reference.min()), max(self.high, reference.max())
        self.signal += float((reference * reference).sum())
        self.noise += float((error * error).sum())
        self.saturated += int(beyond.sum())
        self.elements += reference.size

    @property
    def sqnr_db(self) -> float:
        if self.noise == 0.0:
            return math.inf
        return 10.0 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def quantize_images(images: np.ndarray, scale: float) -> np.ndarray:
    """Floats to the nearest int8 values, halves up, saturated; int64."""
    return np.clip(np.floor(np.asarray(images, np.float64) / scale + 0.5), -128, 127).astype(np.int64)


def dequantize(op: object, kind: TensorType, array: np.ndarray) -> np.ndarray:
    """Integers of one tensor to floats.

    A softmax row is divided by its sum, as the context does; a routing keeps its indices.
    """
    if isinstance(op, IntegerExp):
        return array / np.maximum(array.sum(-1, keepdims=True), 1)
    if isinstance(op, IntegerRoute):
        chosen, gates = split(np.asarray(array))
        return np.concatenate([chosen, gates * 2.0**-GATE_BITS], -1)
    return np.asarray(array, np.float64) * (kind.scale or 1.0)


def measure(reference: Graph, integer: Graph, seen: Calibration, most: int) -> Report:
    """Run both graphs on the kept calibration images and compare every tensor."""
    return _Measurement(reference, integer, seen).run(most)


class _Measurement:
    """Sums over the kept images and all tasks."""

    def __init__(self, reference: Graph, integer: Graph, seen: Calibration) -> None:
        self.reference, self.integer, self.seen = reference, integer, seen
        self.kinds = {integer.input: integer.input_type} | {node.name: node.type for node in integer}
        self.ops = {node.name: node.op for node in integer}
        self.errors = {
            name: _Errors(kind)
            for name, kind in self.kinds.items()
            if not isinstance(self.ops.get(name), Choose)
        }
        self.routed = routed_by(reference)
        self.routing: dict[tuple[str, int], RoutingCount] = {}

    def run(self, most: int) -> Report:
        size, sample = batch_size(self.reference, most), self.seen.sample
        for first in range(0, len(sample), size):
            for task in range(self.integer.tasks):
                self._batch(sample[first : first + size], task)
        rows = [_row(name, self.ops.get(name), error, self.seen) for name, error in self.errors.items()]
        routing = tuple(count.report() for count in self.routing.values())
        noise = [text for name in dict.fromkeys(self.integer.outputs) for text in _noise_warnings(rows, name)]
        warnings = (*self.seen.warnings, *noise, *_routing_warnings(routing))
        return Report(tuple(rows), warnings, self.seen.images, len(sample), routing)

    def _batch(self, images: np.ndarray, task: int) -> None:
        floats = evaluate(self.reference, images, task)
        golden = evaluate(self.integer, quantize_images(images, self.integer.input_type.scale or 1.0), task)
        for name in golden:
            real = dequantize(self.ops.get(name), self.kinds[name], golden[name])
            values = golden[name], real, floats[name]
            if name in self.routed:
                route = self.routed[name]
                same = same_choices(golden[route], floats[route])
                if name == route:
                    self._count(name, task, golden[name], floats[name])
                    values = tuple(split(value)[1] for value in values)
                values = tuple(value.reshape(*same.shape, -1)[same] for value in values)
            self.errors[name].update(*values)

    def _count(self, name: str, task: int, golden: np.ndarray, reference: np.ndarray) -> None:
        if (name, task) not in self.routing:
            self.routing[name, task] = RoutingCount(name, task, experts_of(self.integer, name))
        self.routing[name, task].update(golden, reference)


def _noise_warnings(rows: list[TensorReport], output: str) -> list[str]:
    noisy = [row for row in rows if row.sqnr_db < NOISY_DB]
    last = next(row for row in rows if row.name == output)
    if last not in noisy:
        return []
    first = f"the first tensor below {NOISY_DB:.0f} dB is %{noisy[0].name}"
    return [f"the output lies only {last.sqnr_db:.1f} dB above its quantization error; {first}"]


def _routing_warnings(routing: tuple[RoutingReport, ...]) -> list[str]:
    """Experts that the calibration images say nothing about."""
    names = dict.fromkeys(item.name for item in routing)
    load = {name: np.sum([item.load for item in routing if item.name == name], 0) for name in names}
    unused = {name: np.flatnonzero(counts == 0).tolist() for name, counts in load.items()}
    return [
        f"no calibration image uses experts {', '.join(map(str, experts))} of %{name}"
        for name, experts in unused.items()
        if experts
    ]


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
    )
