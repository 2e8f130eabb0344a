# SPDX-License-Identifier: Apache-2.0
"""`total[index] += part`, which exports as three calls, as the one call that it means."""

from __future__ import annotations

import dataclasses

from hlsgen.frontend.read.export import Call, Export, Ref
from hlsgen.frontend.rules.constants import functional
from hlsgen.frontend.rules.rule import rewrite

_READ, _ADD, _WRITE = "aten.index.Tensor", "aten.add.Tensor", "aten.index_put.default"


@rewrite
def summed_by_index(export: Export) -> Export:
    """The export with every sum at an index as one call that accumulates, under the name of its last one."""
    calls = {call.name: call for call in export.calls}
    return dataclasses.replace(export, calls=tuple(_sum(call, calls) or call for call in export.calls))


def _sum(last: Call, calls: dict[str, Call]) -> Call | None:
    """The sum that ends with this call, if it does.

    Each position is in the index once, or the rule for the sum refuses it: then both mean the same.
    """
    if functional(last.target) != _WRITE or last.kwargs or len(last.args) != 3:
        return None
    total, index, result = last.args
    add = calls.get(result.name) if isinstance(result, Ref) else None
    if add is None or functional(add.target) != _ADD or add.kwargs or len(add.args) != 2:
        return None
    for read, part in (add.args, add.args[::-1]):
        call = calls.get(read.name) if isinstance(read, Ref) else None
        if call is not None and call.target == _READ and tuple(call.args) == (total, index):
            return dataclasses.replace(last, args=(total, index, part, True))
    return None
