# SPDX-License-Identifier: Apache-2.0
"""In-place operators: allowed where nobody looks at the old value again, and on constants made in forward."""

from __future__ import annotations

import dataclasses
from typing import Any

from hlsgen.frontend.read.export import GETITEM, Export, Ref, uses
from hlsgen.frontend.rules.constants import functional, is_inplace
from hlsgen.frontend.rules.rule import rewrite
from hlsgen.frontend.rules.terms import Refusal
from hlsgen.frontend.rules.views import SAME, VIEWS

_OF_SHAPE = frozenset(
    f"aten.{name}.default"
    for name in ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
)
_COPY = ("aten.clone.default", "aten.lift_fresh_copy.default")
_FIX = "write x = x + y instead of x += y, and inplace=False"


def shares(export: Export) -> set[str]:
    """Names of the calls whose results are, or are parts of, their first argument.

    Results of a call that makes several new ones, such as topk, share nothing; neither does a copy.
    """
    split = {call.name for call in export.calls if call.target in VIEWS}
    return {
        call.name
        for call in export.calls
        if call.target in VIEWS
        or (call.target in SAME and call.target not in _COPY)
        or is_inplace(call.target)
        or (call.target == GETITEM and getattr(call.args[0], "name", "") in split)
    }


def _computed(export: Export) -> set[str]:
    """Names of all values that depend on an input, not on its shape alone."""
    found = {getattr(item, "name", "") for item in export.inputs}
    for call in export.calls:
        if call.target not in _OF_SHAPE and found.intersection(uses(call)):
            found.add(call.name)
    return found


def constant_writes(export: Export) -> set[str]:
    """In-place calls among constants that forward itself makes: folding executes them as they stand."""
    changeable = {call.name for call in export.calls} - _computed(export)
    outside, sharing = set(export.constants), shares(export)
    for call in export.calls:
        first = call.args[0] if call.args else None
        if isinstance(first, Ref) and first.name in outside and call.name in sharing:
            outside.add(call.name)
    return {call.name for call in export.calls if is_inplace(call.target)} & changeable - outside


@rewrite
def renamed(export: Export) -> Export:
    """The export with new values under the names of the calls that write them in place, and made by them.

    Only where nothing is a view of what is written: `total += y` is then `total = total + y`.
    """
    folded, sharing = constant_writes(export), shares(export)
    storage: dict[str, str] = {}
    kept = {*export.constants, *(getattr(item, "name", "") for item in export.inputs)}
    viewed: set[str] = set()
    newest: dict[str, str] = {}
    calls = []

    def current(item: Any) -> Any:
        if isinstance(item, Ref):
            return Ref(newest.get(storage.get(item.name, item.name), item.name))
        if isinstance(item, list | tuple):
            return type(item)(current(part) for part in item)
        return item

    for call in export.calls:
        first = call.args[0] if call.args else None
        before = first.name if isinstance(first, Ref) else ""
        kwargs = {key: current(item) for key, item in call.kwargs.items()}
        calls.append(dataclasses.replace(call, args=tuple(map(current, call.args)), kwargs=kwargs))
        if not before or call.name not in sharing or call.name in folded:
            continue
        root = storage.get(before, before)
        if is_inplace(call.target) and call.target not in VIEWS and root not in viewed and root not in kept:
            storage[call.name] = root
            newest[root] = call.name
            calls[-1] = dataclasses.replace(calls[-1], target=functional(call.target))
        else:
            viewed.add(root)
            kept.add(call.name)
    outputs = tuple(current(item) for item in export.outputs)
    return dataclasses.replace(export, calls=tuple(calls), outputs=outputs)


def overwritten(export: Export) -> dict[str, Refusal]:
    """In-place calls that can't be read as if they made a new value, by name."""
    folded, sharing = constant_writes(export), shares(export)
    storage = {name: name for name in (*export.constants, *(getattr(i, "name", "") for i in export.inputs))}
    outside = set(storage)
    last_use: dict[str, int] = {}
    for position, call in enumerate(export.calls):
        for name in uses(call):
            last_use[name] = position
    for output in export.outputs:
        if isinstance(output, Ref):
            last_use[output.name] = len(export.calls)
    refused: dict[str, Refusal] = {}
    members: dict[str, list[str]] = {name: [name] for name in storage}
    for position, call in enumerate(export.calls):
        first = call.args[0] if call.args else None
        root = storage.get(first.name, "") if isinstance(first, Ref) and call.name in sharing else ""
        root = root or call.name
        if is_inplace(call.target) and call.name not in folded:
            if root in outside:
                refused[call.name] = Refusal(
                    f"{call.target} must not change the input, a weight or a buffer", fix=_FIX, intrinsic=True
                )
            elif any(last_use.get(name, -1) > position for name in members[root]):
                why = "the old value, or a view of it, is used again later"
                what = f"{call.target} must not change a value in place"
                refused[call.name] = Refusal(what, why=why, fix=_FIX, intrinsic=True)
        storage[call.name] = root
        members.setdefault(root, []).append(call.name)
    return refused
