# SPDX-License-Identifier: Apache-2.0
"""A number scattered at the k best of k is that number everywhere: no image decides where."""

from __future__ import annotations

import dataclasses
from typing import Any

from hlsgen.frontend.read.export import GETITEM, Call, Export, Input, Ref
from hlsgen.frontend.rules.constants import functional
from hlsgen.frontend.rules.rule import rewrite

_SCATTER, _BEST, _FULL = "aten.scatter.value", "aten.topk.default", "aten.full.default"


@rewrite
def scattered_everywhere(export: Export) -> Export:
    """The export with every such tensor as a constant, as where all groups of experts are chosen."""
    calls = {call.name: call for call in export.calls}
    shapes: dict[str, Any] = {item.name: item.shape for item in export.inputs if isinstance(item, Input)}
    shapes |= {name: call.shape for name, call in calls.items()}
    return dataclasses.replace(
        export, calls=tuple(_everywhere(call, calls, shapes) or call for call in export.calls)
    )


def _everywhere(call: Call, calls: dict[str, Call], shapes: dict[str, Any]) -> Call | None:
    if functional(call.target) != _SCATTER or call.kwargs or len(call.args) != 4:
        return None
    zeros, dim, index, value = call.args
    item = calls.get(getattr(index, "name", ""))
    if item is None or item.target != GETITEM or item.args[1] != 1 or not isinstance(item.args[0], Ref):
        return None
    best = calls.get(item.args[0].name)
    if best is None or best.target != _BEST or not isinstance(best.args[0], Ref):
        return None
    (of, k), axis = best.args[:2], best.args[2] if len(best.args) > 2 else -1
    shape = shapes.get(of.name)
    if not shape or call.shape != shape or shape[axis] != k or (dim - axis) % len(shape):
        return None
    made = calls.get(getattr(zeros, "name", ""))
    kind = made.kwargs.get("dtype") if made is not None else None
    number = float(value) if kind is None else value
    return dataclasses.replace(
        call, target=_FULL, args=(call.shape, number), kwargs={} if kind is None else {"dtype": kind}
    )
