# SPDX-License-Identifier: Apache-2.0
"""One of several tensors, by the task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part

_FIRST = "a graph of several tasks must be narrowed to one, graph.for_task(task), before it is evaluated"


@op
class Choose(FloatOp):
    """Input number `task`: floats and integers alike. `Graph.for_task` takes its place before evaluation."""

    part: ClassVar[Part] = Part.CHOICE
    reads: ClassVar[tuple[Input, ...]] = (Input(None, (Part.LINEAR,), "what the task chooses"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.ROUTER,)
    units: ClassVar[tuple[str, ...]] = ("drain_route",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    chooses: ClassVar[bool] = True

    def infer(self, *types: TensorType) -> TensorType:
        if not types or any(kind != types[0] for kind in types):
            raise TypeMismatch(f"choose: all tasks need one type, not {', '.join(map(str, types))}")
        return types[0]

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        raise TypeMismatch(f"choose, {len(arrays)} inputs: {_FIRST}")

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        raise TypeMismatch(f"choose, {len(arrays)} inputs: {_FIRST}")
