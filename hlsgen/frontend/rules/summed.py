# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors written element by element: (q[..., T, 1, :] * k[..., 1, S, :]).sum(-1).

Weights times values, too: (weights[..., S, 1] * values[..., S, d]).sum(-2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hlsgen.frontend.read.export import Call, Export, Ref
from hlsgen.frontend.rules.grouped import moved
from hlsgen.frontend.rules.products import matmul
from hlsgen.frontend.rules.rule import CallSite, rewrite, rule

OPERATOR = "hlsgen.summed_product.default"
OF_ROWS = "hlsgen.summed_rows.default"


@rule(OPERATOR)
def summed_product(at: CallSite, x: Any, y: Any, outer: bool, keep: bool) -> Any:
    """x times y, added up over the last axis: x @ y.T.

    outer: x is [..., T, 1, d] and y [..., 1, S, d]; else x is [..., 1, d] and y [..., S, d].
    """
    if outer:
        x, y = moved(x, lambda ids: ids.squeeze(-2)), moved(y, lambda ids: ids.squeeze(-3))
    result = matmul(at, x, moved(y, lambda ids: ids.transpose(-1, -2)))
    result = result if outer else result.map(lambda ids: ids.squeeze(-2))
    return result.map(lambda ids: ids[..., None]) if keep else result


@rule(OF_ROWS)
def summed_rows(at: CallSite, x: Any, y: Any, keep: bool) -> Any:
    """x [..., S, 1] times y [..., S, d], added up over S: x.T @ y, [..., d]."""
    result = matmul(at, moved(x, lambda ids: ids.transpose(-1, -2)), y)
    return result if keep else result.map(lambda ids: ids.squeeze(-2))


@rewrite
def with_products(export: Export) -> Export:
    """The export with such a product as one call, under the name of the sum."""
    calls = {call.name: call for call in export.calls}
    shapes = {name: tuple(item.tensor.shape) for name, item in export.constants.items()}
    shapes |= {call.name: tuple(call.shape) for call in export.calls if call.shape is not None}
    return dataclasses.replace(
        export, calls=tuple(_product(calls, shapes, call) or call for call in export.calls)
    )


def _product(calls: dict[str, Call], shapes: dict[str, tuple[int, ...]], last: Call) -> Call | None:
    """The call that stands for a sum of products; None: it is another one."""
    if last.target != "aten.sum.dim_IntList" or last.kwargs or not isinstance(last.args[0], Ref):
        return None
    product, (inner, axes, *keep) = calls.get(last.args[0].name), last.args
    if product is None or product.target != "aten.mul.Tensor" or product.kwargs:
        return None
    rank = len(shapes.get(inner.name, ()))
    if not isinstance(axes, list | tuple) or len(axes) != 1:
        return None
    x, y = product.args
    if not (isinstance(x, Ref) and isinstance(y, Ref) and x.name in calls and y.name in calls):
        return None
    kept = bool(keep and keep[0])
    for left, right in ((x, y), (y, x)):
        sizes = shapes.get(left.name, ()), shapes.get(right.name, ())
        if axes[0] in (-2, rank - 2) and _by_rows(*sizes):
            return dataclasses.replace(last, target=OF_ROWS, args=(left, right, kept))
        outer = _way(*sizes) if axes[0] in (-1, rank - 1) else None
        if outer is not None:
            return dataclasses.replace(last, target=OPERATOR, args=(left, right, outer, kept))
    return None


def _by_rows(x: Sequence[int], y: Sequence[int]) -> bool:
    """Whether x has one number for each row of y, by heads: gates of experts have no heads."""
    return min(len(x), len(y)) >= 5 and x[-1] == 1 < y[-1] and len(x) == len(y) and x[-2] == y[-2] > 1


def _way(x: Sequence[int], y: Sequence[int]) -> bool | None:
    """Whether both are repeated for each row of the other (True), or x alone; None: neither."""
    if min(len(x), len(y)) < 3 or len(x) != len(y) or x[-1] != y[-1] or x[-1] < 2 or x[-2] != 1 or y[-2] < 2:
        return None
    outer = len(x) >= 4 and y[-3] == 1 and x[-3] > 1
    return outer if outer or x[:-2] == y[:-2] else None
