# SPDX-License-Identifier: Apache-2.0
"""What is written out in several calls: a walk from the last one back to what they are made of."""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.read.export import Call, Export, Ref, uses
from hlsgen.frontend.rules.views import CASTS, SAME

ADD = ("aten.add.Tensor", "aten.add.Scalar")
MUL = ("aten.mul.Tensor", "aten.mul.Scalar")
DIV = ("aten.div.Tensor", "aten.div.Scalar")
SUB = "aten.sub.Tensor"


class Other(Exception):
    """It is something else."""


class Written:
    """The calls of an export by name, and how to look at their arguments; each look may raise `Other`."""

    def __init__(self, export: Export) -> None:
        self._calls = {call.name: call for call in export.calls}
        self._constants = export.constants
        self._fixed: dict[str, bool] = dict.fromkeys(export.constants, True)

    def _is_fixed(self, argument: Any) -> bool:
        """Whether an argument does not depend on the image."""
        if not isinstance(argument, Ref):
            return True
        if argument.name not in self._fixed:
            call = self._calls.get(argument.name)
            self._fixed[argument.name] = call is not None and all(
                self._is_fixed(Ref(name)) for name in uses(call)
            )
        return self._fixed[argument.name]

    def _plain(self, argument: Any) -> Any:
        """The value behind casts to float32 and copies."""
        while isinstance(argument, Ref) and argument.name in self._calls:
            call = self._calls[argument.name]
            if call.target not in (*SAME, *CASTS) or not self._is_float32(call):
                break
            argument = call.args[0]
        return argument

    def _is_float32(self, call: Call) -> bool:
        """Whether no argument of a cast asks for another type."""
        wanted = [item for item in (*call.args[1:], *call.kwargs.values()) if isinstance(item, torch.dtype)]
        return all(dtype is torch.float32 for dtype in wanted)

    def _call(self, argument: Any, *targets: str) -> Call:
        argument = self._plain(argument)
        call = self._calls.get(argument.name) if isinstance(argument, Ref) else None
        if call is None or call.target not in targets:
            raise Other
        return call

    def _number(self, argument: Any) -> float:
        """A number, or a constant tensor of one."""
        argument = self._plain(argument)
        if isinstance(argument, Ref):
            tensor = self._constants[argument.name].tensor
            if tensor.numel() != 1:
                raise Other
            return float(tensor.item())
        if isinstance(argument, bool) or not isinstance(argument, int | float):
            raise Other
        return float(argument)

    def _along(self, call: Call) -> tuple[Ref, int]:
        inner, axes, keep = call.args
        (axis,) = axes if isinstance(axes, list | tuple) else (axes,)
        inner = self._ref(inner)
        return same((bool(keep), call.kwargs), (True, {}), (inner, axis % len(self._shape(inner))))

    def _ref(self, argument: Any) -> Ref:
        argument = self._plain(argument)
        if not isinstance(argument, Ref):
            raise Other
        return argument

    def _shape(self, argument: Ref) -> tuple[int, ...]:
        """The static shape of a call's result."""
        shape = self._calls[argument.name].shape
        if not shape:
            raise Other
        return shape


def same(found: Any, wanted: Any, result: Any) -> Any:
    """`result`, where both are equal."""
    if found != wanted:
        raise Other
    return result
