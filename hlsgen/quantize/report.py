"""What quantization did to each tensor, measured on calibration images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hlsgen.ir import Graph, TensorType, batch_size, evaluate
from hlsgen.ops import IntegerExp
from hlsgen.quantize.calibrate import Calibration

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
    """Integers of one tensor to floats; a softmax row is divided by its sum, as the context does."""
    if isinstance(op, IntegerExp):
        return array / np.maximum(array.sum(-1, keepdims=True), 1)
    return np.asarray(array, np.float64) * (kind.scale or 1.0)


def measure(reference: Graph, integer: Graph, seen: Calibration, most: int) -> Report:
    """Run both graphs on the kept calibration images and compare every tensor."""
    kinds = {integer.input: integer.input_type} | {node.name: node.type for node in integer}
    ops = {node.name: node.op for node in integer}
    errors = {name: _Errors(kind) for name, kind in kinds.items()}
    size = batch_size(reference, most)
    for first in range(0, len(seen.sample), size):
        images = seen.sample[first : first + size]
        floats = evaluate(reference, images)
        golden = evaluate(integer, quantize_images(images, integer.input_type.scale or 1.0))
        for name, error in errors.items():
            real = dequantize(ops.get(name), kinds[name], golden[name])
            error.update(golden[name], real, floats[name])
    rows = [_row(name, ops.get(name), error, seen) for name, error in errors.items()]
    warnings = (*seen.warnings, *_noise_warnings(rows, integer.output))
    return Report(tuple(rows), warnings, seen.images, len(seen.sample))


def _noise_warnings(rows: list[TensorReport], output: str) -> list[str]:
    noisy = [row for row in rows if row.sqnr_db < NOISY_DB]
    last = next(row for row in rows if row.name == output)
    if last not in noisy:
        return []
    first = f"the first tensor below {NOISY_DB:.0f} dB is %{noisy[0].name}"
    return [f"the output lies only {last.sqnr_db:.1f} dB above its quantization error; {first}"]


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
