# SPDX-License-Identifier: Apache-2.0
"""Models in half, bfloat16 or double, as float32: the float Graph has float32 weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from hlsgen.frontend.read.export import Call, Constant, Export, Input

_OTHERS = (torch.float16, torch.bfloat16, torch.float64)


def export_in_float32(export: Export) -> Export:
    """The export itself, or the same in float32.

    Only where the image has another type are casts to that type casts to float32: they then keep everything
    in one type. Others stay, to be refused.
    """
    other = any(item.tensor.dtype in _OTHERS for item in export.constants.values())
    image = export.inputs[0] if export.inputs else None
    kind = image.dtype if isinstance(image, Input) and image.dtype in _OTHERS else None
    if not other and kind is None:
        return export
    constants = {
        name: Constant(item.tensor.float(), item.path) if item.tensor.dtype in _OTHERS else item
        for name, item in export.constants.items()
    }
    inputs, calls = export.inputs, export.calls
    if kind is not None and isinstance(image, Input):
        inputs = (dataclasses.replace(image, dtype=torch.float32), *inputs[1:])
        calls = tuple(_call(call, kind) for call in calls)
    return dataclasses.replace(export, inputs=inputs, constants=constants, calls=calls, reference=None)


def _call(call: Call, kind: torch.dtype) -> Call:
    return dataclasses.replace(call, args=_plain(call.args, kind), kwargs=_plain(call.kwargs, kind))


def _plain(argument: Any, kind: torch.dtype) -> Any:
    if isinstance(argument, list | tuple):
        return type(argument)(_plain(item, kind) for item in argument)
    if isinstance(argument, dict):
        return {key: _plain(item, kind) for key, item in argument.items()}
    return torch.float32 if argument is kind else argument
