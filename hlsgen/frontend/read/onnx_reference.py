# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file computes by ONNX's own rules: the evaluator of the package `onnx`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.read.scheme import QONNX, quant_range
from hlsgen.nn import ONNX, mixture


def reference(model: Any) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """A function from the arrays of the inputs to those of the outputs, for a ModelProto."""

    def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        from onnx.reference import ReferenceEvaluator

        known = {item.name for item in model.graph.initializer}
        inputs = [item for item in model.graph.input if item.name not in known]
        given = {
            item.name: array.astype(_DTYPES.get(item.type.tensor_type.elem_type, array.dtype))
            for item, array in zip(inputs, arrays, strict=False)
        }
        results: Any = ReferenceEvaluator(model, new_ops=[_moe(), *_quants(), *_pairs()]).run(None, given)
        return [np.asarray(result) for result in results]

    return run


_DTYPES = {1: np.float32, 6: np.int32, 7: np.int64}
"""ONNX's types of an image and of a task."""


def _moe() -> Any:
    """ONNX's evaluator finds an operator by the name of its class."""
    from onnx.reference.op_run import OpRun

    domain, name = ONNX.split("::")

    def compute(_: Any, *tensors: Any, k: int, convention: str, activation: str) -> tuple[np.ndarray]:
        given: list[Any] = [None if item is None else torch.from_numpy(np.array(item)) for item in tensors]
        given += [*[None] * (8 - len(given)), k, convention, activation]
        return (mixture(*given).numpy(),)

    return type(name, (OpRun,), {"op_domain": domain, "_run": compute})


def _quants() -> list[Any]:
    """QONNX's quantizer, under each of its names; rounding other than to the nearest is refused before."""
    from onnx.reference.op_run import OpRun

    def compute(
        _: Any, x: Any, scale: Any, zero: Any, width: Any, *, narrow: int = 0, signed: int = 1,
        rounding_mode: str = "ROUND",
    ) -> tuple[np.ndarray]:  # fmt: skip
        del rounding_mode
        low, high = quant_range(int(np.asarray(width).reshape(-1)[0]), bool(signed), bool(narrow))
        steps = np.round(np.clip(x / scale + zero, low, high))
        return (((steps - zero) * scale).astype(np.float32),)

    fields = {"_run": compute}
    return [
        type(name, (OpRun,), {"op_domain": domain, **fields})
        for domain in QONNX
        for name in ("Quant", "IntQuant")
    ]


def _pairs() -> list[Any]:
    """Both halves of a quantizer: the evaluator has them for opset 19 and later only."""
    from onnx.reference.op_run import OpRun

    def first(
        _: Any, x: Any, scale: Any, zero: Any = None, axis: int = 1, **options: Any
    ) -> tuple[np.ndarray]:  # fmt: skip
        kind = options.get("output_dtype") or 2
        zero = np.zeros(1, {2: np.uint8, 3: np.int8, 5: np.int16}[kind]) if zero is None else zero
        scale, point, limits = _along(scale, x, axis), _along(zero, x, axis), np.iinfo(zero.dtype)
        steps = np.rint(x / scale) + point.astype(np.float32)
        return (np.clip(steps, limits.min, limits.max).astype(zero.dtype),)

    def second(_: Any, x: Any, scale: Any, zero: Any = None, axis: int = 1, **__: Any) -> tuple[np.ndarray]:
        point = 0 if zero is None else _along(zero, x, axis).astype(np.float32)
        return (((x.astype(np.float32) - point) * _along(scale, x, axis)).astype(np.float32),)

    halves = {"QuantizeLinear": first, "DequantizeLinear": second}
    return [type(name, (OpRun,), {"op_domain": "", "_run": run}) for name, run in halves.items()]


def _along(values: Any, x: Any, axis: int) -> Any:
    """A number, or one number for each index of an axis, ready to broadcast."""
    values = np.asarray(values)
    if values.size == 1:
        return values.reshape(())
    shape = [1] * np.ndim(x)
    shape[axis] = -1
    return values.reshape(shape)
