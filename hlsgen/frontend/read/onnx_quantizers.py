# SPDX-License-Identifier: Apache-2.0
"""Quantizers of ONNX files: pairs of QuantizeLinear and DequantizeLinear, and QONNX's operators.

A constant becomes the reals that it stands for. A tensor computed from the image gets a call `QUANTIZER`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from hlsgen.frontend.read.export import Ref
from hlsgen.frontend.read.onnx_node import Node, operator
from hlsgen.frontend.read.onnx_program import Unreadable
from hlsgen.frontend.read.onnx_tensor import INTEGERS
from hlsgen.frontend.read.scheme import Codes, Scheme, quant_range

INTEGER_ONLY = (
    "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger", "DynamicQuantizeLinear", "QGemm",
    "QLinearAdd", "QLinearMul", "QLinearSoftmax", "QLinearGlobalAveragePool", "QAttention",
)  # fmt: skip
"""Operators of files that hold no pairs of quantizers."""
_RANGES = {
    torch.int8: (-128, 127),
    torch.uint8: (0, 255),
    torch.int16: (-(1 << 15), (1 << 15) - 1),
    torch.int32: (-(1 << 31), (1 << 31) - 1),
}
_TYPES = {2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32}
"""ONNX's numbers of the types of integers."""
_BY_GROUP = "it has a scale for each group of elements"


@operator("QuantizeLinear")
def quantize_linear(at: Node) -> Any:
    """The first half of a pair."""
    return Codes(at.need(0), _linear(at, at.attributes.get("output_dtype", 0)))


@operator("DequantizeLinear")
def dequantize_linear(at: Node) -> Any:
    """The second half, or an integer constant as reals."""
    given, scheme = at.need(0), _linear(at, 0)
    if not isinstance(given, Codes):
        if not isinstance(given, torch.Tensor):
            raise Unreadable("integers that no quantizer makes")
        if scheme.unfit:
            raise Unreadable(f"a weight of which {scheme.unfit}")
        return at.parameter(scheme.reals(given), at.program.path(given))
    mine = given.scheme
    same = torch.equal(mine.scale.double(), scheme.scale.double()) and bool((mine.zero == scheme.zero).all())
    if not same and not isinstance(given.value, torch.Tensor):
        mine = dataclasses.replace(mine, unfit="its two halves have different scales or zero points")
    return quantized(at, given.value, dataclasses.replace(mine, unfit=mine.unfit or scheme.unfit))


def clipped(at: Node, codes: Codes) -> Any:
    """A quantizer's integers within other bounds: a narrower range."""
    low, high = codes.scheme.low, codes.scheme.high
    if at.get(1) is not None:
        low = max(low, int(at.known(1, "a bound")))
    if at.get(2) is not None:
        high = min(high, int(at.known(2, "a bound")))
    return Codes(codes.value, dataclasses.replace(codes.scheme, low=low, high=high))


def _linear(at: Node, kind: int) -> Scheme:
    """What scale, zero point and attributes say; the zero point's type is the integers'."""
    scale, zero = at.known(1, "a scale"), at.get(2)
    given = at.need(0)
    if zero is None:
        stored = given.dtype if isinstance(given, torch.Tensor) and not given.is_floating_point() else None
        dtype = stored or _TYPES.get(kind, torch.uint8)
        if kind in INTEGERS:
            raise Unreadable("integers of 4 bits, or of 16 without a sign, and no zero point")
        zero = torch.zeros(scale.shape, dtype=dtype)
    if not isinstance(zero, torch.Tensor):
        raise Unreadable("a zero point computed from the image")
    if zero.dtype not in _RANGES:
        raise Unreadable(f"integers of the type {str(zero.dtype).removeprefix('torch.')}")
    blocks = at.attributes.get("block_size", 0) or scale.dim() > 1
    axis = at.attributes.get("axis", 1) if scale.dim() else None
    held = at.program.ranges.get(id(zero)) or _RANGES[zero.dtype]
    return Scheme(scale, zero, *held, axis, _BY_GROUP if blocks else "")


@operator("qonnx::Quant", "qonnx::IntQuant")
def quant(at: Node) -> Any:
    """Both halves at once; the range follows from a width, a sign, and whether it is narrow."""
    scale, zero, width = (
        at.known(index, name) for index, name in ((1, "a scale"), (2, "a zero point"), (3, "a width"))
    )
    signed, narrow = (bool(at.attributes.get(name, 0)) for name in ("signed", "narrow"))
    bits = float(width.reshape(-1)[0])
    if width.numel() != 1 or not bits.is_integer() or not 1 < bits <= 32:
        raise Unreadable("a width that is no whole number of bits, or several")
    low, high = quant_range(int(bits), signed, narrow)
    mode = str(at.attributes.get("rounding_mode", "ROUND")).upper()
    scheme = Scheme(scale.reshape(scale.shape or (1,)), zero, low, high)
    if mode != "ROUND":
        scheme = dataclasses.replace(scheme, unfit=f"it rounds by {mode}, not to the nearest integer")
    x = at.need(0)
    if bool((zero != zero.round()).any()):
        if isinstance(x, torch.Tensor):
            raise Unreadable("a zero point of a weight that is no whole number")
        scheme = dataclasses.replace(scheme, unfit="its zero point is no whole number")
    if isinstance(x, torch.Tensor) and mode != "ROUND":
        raise Unreadable(f"rounding_mode {mode} of a weight")
    return quantized(at, x, scheme)


def quantized(at: Node, x: Any, scheme: Scheme) -> Any:
    """A tensor with a quantizer on it."""
    if isinstance(x, Ref):
        return at.program.quantizer(x, scheme, at.outputs[0], at.source)
    return at.parameter(scheme.reals(scheme.integers(x)), at.program.path(x))
