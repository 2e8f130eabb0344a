# SPDX-License-Identifier: Apache-2.0
"""Rows of length one, x / max(|x|, eps): `functional.normalize`, as an RMS norm with a factor."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hlsgen.frontend.read.export import Call, Export, Ref
from hlsgen.frontend.rules.norms import normalised
from hlsgen.frontend.rules.rule import CallSite, computed, rewrite, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.ops import RMSNorm

OPERATOR = "hlsgen.unit_norm.default"
_SMALL = 1e-6
"""Lengths of the size of eps are zero for a model; below this eps both forms are one for all others."""


@rule(OPERATOR)
def unit_norm(at: CallSite, x: Any, dim: int, eps: float) -> Value:
    """x / max(|x|, eps) along one axis: x / sqrt(mean(x**2) + eps**2 / d) / sqrt(d)."""
    x = computed(x, "the norm's input")
    if eps > _SMALL:
        raise Refusal(
            f"normalize must have eps of at most {_SMALL:g}, not {eps:g}",
            why="the machine adds eps under the root, which is another function for short rows",
            fix="take the default eps of 1e-12",
        )
    rows = x.map(lambda ids: ids.movedim(dim, -1))
    width = rows.shape[-1]
    op = RMSNorm(gamma=np.ones(width), beta=np.zeros(width), eps=eps**2 / width)
    found = normalised(at, op, rows, at.name("unit_norm")).scaled(1.0 / math.sqrt(width))
    return found.map(lambda ids: ids.movedim(-1, dim))


@rewrite
def with_unit_norms(export: Export) -> Export:
    """The export with x / max(|x|, eps) as one call, under the name of the division."""
    calls = {call.name: call for call in export.calls}
    return dataclasses.replace(export, calls=tuple(_unit(calls, call) or call for call in export.calls))


def _unit(calls: dict[str, Call], last: Call) -> Call | None:
    """The call that stands for a division by a length; None: it is another one."""
    if last.target != "aten.div.Tensor" or len(last.args) != 2 or last.kwargs:
        return None
    x, length = last.args
    wide = _call(calls, length, "aten.expand_as.default", "aten.expand.default")
    if wide is not None:
        length = wide.args[0]
    limited = _call(calls, length, "aten.clamp_min.default", "aten.clamp.default")
    if limited is None or len(limited.args) != 2 or limited.kwargs or not isinstance(limited.args[1], float):
        return None
    norm = _call(calls, limited.args[0], "aten.linalg_vector_norm.default")
    if norm is None or norm.kwargs or len(norm.args) != 4 or norm.args[0] != x:
        return None
    whole = calls.get(x.name) if isinstance(x, Ref) else None
    if whole is None or whole.shape is None or whole.shape != last.shape:
        return None
    _, order, axes, keep = norm.args
    if order != 2 or not isinstance(axes, list | tuple) or len(axes) != 1 or keep is not True:
        return None
    return dataclasses.replace(last, target=OPERATOR, args=(x, axes[0], limited.args[1]))


def _call(calls: dict[str, Call], argument: Any, *targets: str) -> Call | None:
    """The call that gives an argument, if it is one of these."""
    call = calls.get(argument.name) if isinstance(argument, Ref) else None
    return call if call is not None and call.target in targets else None
