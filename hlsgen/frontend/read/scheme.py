# SPDX-License-Identifier: Apache-2.0
"""A quantizer as the program of a file has it, and the integers of one that is not read back yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

QUANTIZER = "hlsgen.quantizer.default"
"""Target of a call that rounds a tensor to a quantizer's integers and reads these back as reals."""

QONNX = "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"
"""Names that QONNX's set of operators has had."""


def quant_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and largest integer of QONNX's quantizer."""
    high = (1 << (bits - signed)) - 1 - (narrow and not signed)
    return (-high - (not narrow) if signed else 0), high


@dataclass(frozen=True)
class Scheme:
    """real = (integer - zero) * scale. `axis` is that of several scales; `unfit` says what can't be held."""

    scale: torch.Tensor
    zero: torch.Tensor
    low: int
    high: int
    axis: int | None = None
    unfit: str = ""

    def integers(self, real: torch.Tensor) -> torch.Tensor:
        """The nearest integers, halves to even, saturated, as float64."""
        scale, zero = self._along(real.dim())
        return torch.clamp(torch.round(real.double() / scale) + zero, self.low, self.high)

    def reals(self, integers: torch.Tensor) -> torch.Tensor:
        """Integers as float32, rounded as a runtime does."""
        scale, zero = self._along(integers.dim())
        return (integers.double() - zero).float() * scale.float()

    def whole(self) -> str:
        """Why a tensor computed from the image can't have this quantizer, or an empty string."""
        if self.unfit:
            return self.unfit
        if self.scale.numel() != 1 or self.zero.numel() != 1:
            return f"it has {max(self.scale.numel(), self.zero.numel())} scales"
        scale = float(self.scale)
        if math.isnan(scale):
            return "its scale is computed from the image"
        return "" if 0 < scale < math.inf else f"its scale is {scale:g}"

    def _along(self, axes: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point, ready to broadcast."""
        scale, zero = self.scale.double(), self.zero.double()
        if self.axis is None or self.scale.numel() == 1:
            return (x.reshape(()) if x.numel() == 1 else x for x in (scale, zero))  # type: ignore[return-value]
        shape = [1] * axes
        shape[self.axis] = -1
        return scale.reshape(shape), zero.reshape(shape) if zero.numel() > 1 else zero.reshape(())


@dataclass(frozen=True)
class Codes:
    """The integers of a tensor between a quantizer's two halves."""

    value: Any
    """The tensor before it was quantized: known, or a `Ref`."""
    scheme: Scheme
