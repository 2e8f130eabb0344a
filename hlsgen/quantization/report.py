# SPDX-License-Identifier: Apache-2.0
"""What quantization did to each tensor: figures and warnings, as text and as plain data."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from hlsgen.quantization.routing import RoutingReport


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
    centred_db: float | None = None
    """The same of what differs between images: each element's mean over the images is taken away from signal
    and error. None where it is undefined: for a single image, and for rows of experts."""


@dataclass(frozen=True)
class NormReport:
    """A norm whose elements have powers of two of their own."""

    name: str
    elements: int
    shifted: int
    """Elements whose scale is finer than the tensor's."""
    most: int
    """log2 of the tensor's scale over the finest one."""


@dataclass(frozen=True)
class WeightsReport:
    """A layer of a model that is quantized already: how many output channels have the model's integers."""

    name: str
    channels: int
    theirs: int
    why: str
    """What the other channels' integers are rounded again for; empty: there are none."""


@dataclass(frozen=True)
class ImportReport:
    """Which scales and integers are those of a model that is quantized already."""

    theirs: tuple[str, ...]
    """Tensors with the model's own scale."""
    ours: tuple[str, ...]
    """Tensors whose scale calibration has chosen; of the residual stream the first."""
    near: tuple[str, ...]
    """Tensors whose own scale the machine has only nearly."""
    weights: tuple[WeightsReport, ...]
    left: tuple[tuple[str, str], ...]
    """Quantizers without a tensor of the machine's: where each stands, and the reason."""

    def lines(self) -> list[str]:
        """The report as text."""
        kept = sum(item.theirs for item in self.weights)
        channels = sum(item.channels for item in self.weights)
        lines = [
            f"the model's own scales: {len(self.theirs)} tensors: {', '.join(self.theirs) or '-'}",
            f"scales of calibration: {len(self.ours)} tensors: {', '.join(self.ours) or '-'}",
            f"the model's own weights: {kept} of {channels} channels",
        ]
        lines += [f"scale only nearly the model's: {name}" for name in self.near]
        lines += [
            f"{item.name}: {item.theirs} of {item.channels} channels kept, the others rounded: {item.why}"
            for item in self.weights
            if item.why
        ]
        reasons = Counter(why for _, why in self.left)
        return lines + [f"{count} quantizers left out: {why}" for why, count in reasons.items()]


@dataclass(frozen=True)
class Report:
    """The errors of a quantization; `str` is a table of all tensors."""

    tensors: tuple[TensorReport, ...]
    """One row for each tensor, in graph order."""
    warnings: tuple[str, ...]
    """Sentences that a user should read, each with a thing to try."""
    images: int
    """Calibration images seen."""
    measured: int
    """Calibration images that saturation and noise were measured on."""
    routing: tuple[RoutingReport, ...] = ()
    """Agreement with the float model's choice of experts; values of experts count where it agrees."""
    imported: ImportReport | None = None
    """Of a model that is quantized already."""
    norms: tuple[NormReport, ...] = ()
    """Norms whose elements have powers of two of their own; a row of `tensors` has the coarsest scale."""

    def tensor(self, name: str) -> TensorReport:
        """The row of tensor `name`; raises `KeyError`."""
        return {row.name: row for row in self.tensors}[name]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a ratio that is not finite is None."""
        result = asdict(self)
        if self.imported is None:
            del result["imported"]
        for row in result["tensors"]:
            for field in ("sqnr_db", "centred_db"):
                row[field] = row[field] if row[field] is not None and math.isfinite(row[field]) else None
        return result

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.tensors)
        titles = f"{'tensor':{width}}  {'lowest':>10}  {'highest':>10}  {'scale':>10}"
        lines = [f"{titles}  bits  saturated  SQNR dB  centred"]
        lines += [
            f"{row.name:{width}}  {row.low:10.4g}  {row.high:10.4g}  {row.scale:10.4g}  {row.bits:4}"
            f"  {row.saturated:9}  {row.sqnr_db:7.1f}  {_decibel(row.centred_db):>7}"
            for row in self.tensors
        ]
        lines += [
            f"{item.name}, task {item.task}: {item.agreement}; tokens by expert "
            f"{', '.join(map(str, item.load))}"
            for item in self.routing
        ]
        lines += [
            f"{item.name}: {item.shifted} of {item.elements} elements have a scale of their own, up to "
            f"{1 << item.most} times finer"
            for item in self.norms
        ]
        lines.append(f"measured on {self.measured} of {self.images} calibration images")
        if self.measured == 1:
            lines.append("centred figures need two images or more")
        lines += [] if self.imported is None else self.imported.lines()
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"


def _decibel(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
