# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file computes by ONNX's own rules: the evaluator of the package `onnx`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

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
        results: Any = ReferenceEvaluator(model, new_ops=[_moe()]).run(None, given)
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
