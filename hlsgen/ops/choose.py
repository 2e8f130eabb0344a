"""One of several tensors, by the task."""

from __future__ import annotations

from typing import ClassVar

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op


@op
class Choose(Op):
    """Input number `task`: floats and integers alike. `Graph.for_task` takes its place before evaluation."""

    chooses: ClassVar[bool] = True

    def infer(self, *types: TensorType) -> TensorType:
        if not types or any(kind != types[0] for kind in types):
            raise TypeMismatch(f"choose: all tasks need one type, not {', '.join(map(str, types))}")
        return types[0]
