# SPDX-License-Identifier: Apache-2.0
"""What an `Export` computes, run by PyTorch call by call: the float reference of a model read from a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from hlsgen.frontend.read.export import GETITEM, Export, Input, Ref, uses

_DECOMPOSED = "quantized_decomposed"
_SPACES = ("aten", "hlsgen", _DECOMPOSED)
"""Libraries of operators that may be run: those that the rules know, and quantizers."""


def run(
    export: Export,
    inputs: Sequence[torch.Tensor],
    live: set[str],
    kind: torch.dtype = torch.float32,
    seen: Callable[[str, Any], None] | None = None,
) -> list[Any]:
    """The outputs for the inputs, in order; what is no tensor is None.

    `live` names the calls to run: those of a captured graph, of which the rules know every operator. `kind`
    is the type that all floats are computed in. `seen` is told the result of each call. Raises what PyTorch
    raises.
    """
    values: dict[str, Any] = {}
    for item, value in zip(export.inputs, inputs, strict=False):
        if isinstance(item, Input):
            values[item.name] = (
                value.reshape([int(size) for size in item.shape]) if value.dim() == 0 else value
            )
    for name, constant in export.constants.items():
        tensor = constant.tensor
        values[name] = tensor.to(kind) if tensor.is_floating_point() else tensor.clone()
    last = {name: index for index, call in enumerate(export.calls) for name in uses(call)}
    kept = {item.name for item in export.outputs if isinstance(item, Ref)}
    for index, call in enumerate(export.calls):
        if call.name not in live:
            continue
        args, kwargs = _filled(call.args, values, kind), _filled(call.kwargs, values, kind)
        values[call.name] = (
            args[0][args[1]] if call.target == GETITEM else _operator(call.target)(*args, **kwargs)
        )
        if seen is not None:
            seen(call.name, values[call.name])
        for name in uses(call):
            if last[name] <= index and name not in kept:
                values.pop(name, None)
    return [values[item.name] if isinstance(item, Ref) else None for item in export.outputs]


def _filled(argument: Any, values: dict[str, Any], kind: torch.dtype) -> Any:
    if isinstance(argument, Ref):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return type(argument)(_filled(item, values, kind) for item in argument)
    if isinstance(argument, dict):
        return {key: _filled(item, values, kind) for key, item in argument.items()}
    return kind if argument is torch.float32 else argument


def _operator(target: str) -> Any:
    space, name, overload = target.split(".")
    if space not in _SPACES:
        raise ValueError(f"{target} is not run")
    if space == _DECOMPOSED:
        importlib.import_module("torch.ao.quantization.fx._decomposed")  # it registers them
    return getattr(getattr(getattr(torch.ops, space), name), overload)
