# SPDX-License-Identifier: Apache-2.0
"""Writes into parts of tensors: the whole is made anew, with the part in its place.

`y[:, a:b] = z` and `y[:, a:b] += z` change what `y` and all views of it read behind them. Where a tensor is
read again after such a write, the export gets a new whole, and views of it are taken again from that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from hlsgen.frontend.read.export import GETITEM, Call, Constant, Export, Ref, uses
from hlsgen.frontend.rules.constants import fold, functional, is_inplace
from hlsgen.frontend.rules.inplace import overwritten, shares
from hlsgen.frontend.rules.rule import CallSite, rewrite, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.views import joined

_VIEW = """
view.default transpose.int permute.default t.default numpy_T.default mT.default swapaxes.default
swapdims.default movedim.int movedim.intlist moveaxis.int moveaxis.intlist squeeze.default squeeze.dim
squeeze.dims unsqueeze.default select.int slice.Tensor narrow.default unbind.int split.Tensor split.sizes
split_with_sizes.default split.default chunk.default diagonal.default unflatten.int alias.default
detach.default
"""
_CERTAIN = frozenset(f"aten.{name}" for name in _VIEW.split())
"""Operators whose result surely shares memory with its argument; reshape and others may copy."""


class _Wholes:
    """Which tensor each name is a part of, and by which views."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.root: dict[str, str] = {}
        self.views: dict[str, tuple[Call, ...]] = {}
        self.shapes = {call.name: call.shape for call in export.calls}
        for call in export.calls:
            first = call.args[0] if call.args else None
            before = first.name if isinstance(first, Ref) else ""
            viewed = call.target in _CERTAIN or (call.target == GETITEM and before in self.root)
            if before and viewed:
                self.root[call.name] = self.root.get(before, before)
                self.views[call.name] = (*self.views.get(before, ()), call)
            elif before and is_inplace(call.target):
                self.root[call.name] = self.root.get(before, before)
                self.views[call.name] = self.views.get(before, ())

    def of(self, name: str) -> str:
        """The tensor that `name` is a part of; itself where it is none."""
        return self.root.get(name, name)

    def written(self) -> set[str]:
        """Tensors that are read again after writes, and of which nobody else may hold a view."""
        refused = overwritten(self.export)
        groups = self._groups()
        outside = {
            groups.get(name, name)
            for name in (*self.export.constants, *(getattr(item, "name", "") for item in self.export.inputs))
        }
        found = {self.of(name) for name in refused}
        return {root for root in found if groups.get(root, root) not in outside and self._alone(root, groups)}

    def _groups(self) -> dict[str, str]:
        """The first of the names that may share memory, by name."""
        shared, groups = shares(self.export), dict[str, str]()
        for call in self.export.calls:
            if call.name in shared and isinstance(call.args[0], Ref):
                before = call.args[0].name
                groups[call.name] = groups.get(before, before)
        return groups

    def _alone(self, root: str, groups: dict[str, str]) -> bool:
        """Whether nothing is read that was there before a write, and may share its memory or be a copy."""
        mine = groups.get(root, root)
        seen: set[str] = set()
        old: dict[str, set[str]] = {}
        for call in self.export.calls:
            for name in uses(call):
                if any(self.of(name) in stale for other, stale in old.items() if other != self.of(name)):
                    return False
            if groups.get(call.name, call.name) != mine:
                continue
            seen.add(self.of(call.name))
            if is_inplace(call.target) and call.name in self.root:
                old[self.of(call.name)] = set(seen)
        return self.shapes.get(root) is not None


@rewrite
def rewritten(export: Export) -> Export:
    """The export with a new whole for each write into a part, where the old way can't be read."""
    if not overwritten(export):
        return export
    wholes = _Wholes(export)
    written = wholes.written()
    return _Rewriter(wholes, written).run() if written else export


class _Rewriter:
    """Makes the calls of an export anew, one by one."""

    def __init__(self, wholes: _Wholes, written: set[str]) -> None:
        self.wholes, self.written = wholes, written
        self.calls: list[Call] = []
        self.constants = dict(wholes.export.constants)
        self.newest = {root: root for root in written}
        self.version = dict.fromkeys(written, 0)
        self.made: dict[tuple[str, int], str] = {}

    def run(self) -> Export:
        for call in self.wholes.export.calls:
            root = self.wholes.of(call.name)
            args = tuple(self._now(item, call) for item in call.args)
            kwargs = {key: self._now(item, call) for key, item in call.kwargs.items()}
            call = dataclasses.replace(call, args=args, kwargs=kwargs)
            if root in self.written and root != call.name and is_inplace(call.target):
                self._write(call, root)
            else:
                self.calls.append(call)
                self.made[call.name, self.version.get(root, 0)] = call.name
        export = self.wholes.export
        last = self.calls[-1]
        outputs = tuple(self._now(item, last) for item in export.outputs)
        return dataclasses.replace(export, calls=tuple(self.calls), outputs=outputs, constants=self.constants)

    def _now(self, item: Any, at: Call) -> Any:
        """The argument with what its tensors hold now."""
        if isinstance(item, list | tuple):
            return type(item)(self._now(part, at) for part in item)
        if not isinstance(item, Ref) or self.wholes.of(item.name) not in self.written:
            return item
        root = self.wholes.of(item.name)
        views = self.wholes.views.get(item.name, ())
        if not views:
            return Ref(self.newest[root])
        key = item.name, self.version[root]
        if key not in self.made:
            self.made[key] = self._taken(self.newest[root], views, f"{item.name}.{key[1]}")
        return Ref(self.made[key])

    def _taken(self, whole: str, views: Sequence[Call], name: str) -> str:
        """The views of another whole, as new calls."""
        for number, call in enumerate(views):
            last = f"{name}.{number}"
            args = (Ref(whole), *call.args[1:])
            self.calls.append(dataclasses.replace(call, name=last, args=args))
            whole = last
        return whole

    def _write(self, call: Call, root: str) -> None:
        """The written part as a value of its own, and the whole with it in its place."""
        self.calls.append(dataclasses.replace(call, target=functional(call.target)))
        views = self.wholes.views.get(call.name, ())
        self.version[root] += 1
        self.made[call.name, self.version[root]] = call.name
        if not views:
            self.newest[root] = call.name
            return
        shape = self.wholes.shapes[root] or ()
        places = _order(shape, lambda ids: _viewed(ids, views))
        self.constants[f"{call.name}.places"] = Constant(places.flatten(), "")
        flat = [f"{call.name}.{part}" for part in ("old", "new")]
        for name, of in zip(flat, (self.newest[root], call.name), strict=True):
            self._call(call, name, "aten.reshape.default", (Ref(of), [-1]), None)
        self._call(call, f"{call.name}.both", "aten.cat.default", ([Ref(name) for name in flat], 0), None)
        picked = Ref(f"{call.name}.both"), 0, Ref(f"{call.name}.places")
        self._call(call, f"{call.name}.put", "aten.index_select.default", picked, (places.numel(),))
        whole = Ref(f"{call.name}.put"), list(shape)
        self._call(call, f"{call.name}.whole", "aten.reshape.default", whole, shape)
        self.newest[root] = f"{call.name}.whole"

    def _call(self, at: Call, name: str, target: str, args: tuple[Any, ...], shape: Any) -> None:
        self.calls.append(Call(name, target, args, {}, at.source, shape))


def _viewed(ids: torch.Tensor, views: Sequence[Call]) -> Any:
    for call in views:
        if call.target == GETITEM:
            ids = ids[call.args[1]]
        else:
            ids = ids.contiguous() if isinstance(ids, torch.Tensor) else ids
            ids = fold(call.target, (ids, *call.args[1:]), call.kwargs)
    return ids


def _order(shape: Sequence[int], part: Any) -> torch.Tensor:
    """Where each element of a tensor is found when a part of it comes from behind it: [*shape]."""
    ids = torch.arange(math.prod(shape))
    places = part(ids.reshape(tuple(shape))).reshape(-1).clone()
    ids[places] = len(ids) + torch.arange(len(places))
    return ids.reshape(tuple(shape))


def put(at: CallSite, x: Any, source: Any, part: Any) -> Value:
    """`x` with `source` where `part` of it lies; one of both at least is computed from the image.

    part: from ids of x's shape to the ids of the part, as views or constant indices take it.
    """
    shape = tuple(x.shape)
    size = tuple(part(torch.zeros(shape, dtype=torch.long)).shape)
    source = torch.as_tensor(source) if not isinstance(source, Value) else source
    source = source.expand(size)
    flat = [
        item.map(lambda ids: ids.reshape(-1)) if isinstance(item, Value) else item.reshape(-1)
        for item in (x, source)
    ]
    order = _order(shape, part)
    return joined(at, "aten.cat.default", tuple(flat), 0).map(lambda ids: ids[order])


def once(part: Any) -> Any:
    """The part, refused where it has a place twice: there, what is added would have to be added up."""

    def checked(ids: torch.Tensor) -> torch.Tensor:
        places = part(torch.arange(ids.numel()).reshape(ids.shape))
        if places.numel() != len(places.unique()):
            raise Refusal(
                "results are added twice at one place",
                why="a place takes one result; the machine adds whole tensors",
                fix="add one tensor for each of the results that meet at a place",
            )
        return part(ids)

    return checked


@rule("aten.copy.default")
def copy(_: CallSite, x: Any, source: Any, *__: Any) -> Any:
    """What is written, in the shape of what it is written to."""
    return source.expand(tuple(x.shape))


@rule("aten.fill.Scalar", "aten.fill.Tensor", "aten.zero.default")
def fill(_: CallSite, x: Value, number: Any = 0) -> torch.Tensor:
    """A constant in place of what was there."""
    return torch.as_tensor(number, dtype=torch.float64).expand(x.shape)


@rule("aten.slice_scatter.default", "aten.select_scatter.default", "aten.diagonal_scatter.default")
def scatter(at: CallSite, x: Any, source: Any, *args: Any, **kwargs: Any) -> Value:
    """What functional exports make of a write into a part."""
    name = at.call.target.split(".")[1].removesuffix("_scatter")
    target = {"slice": "aten.slice.Tensor", "select": "aten.select.int"}.get(name, "aten.diagonal.default")
    return put(at, x, source, lambda ids: fold(target, (ids, *args), kwargs))


@rule("aten.index_copy.default")
def index_copy(at: CallSite, x: Any, dim: int, index: torch.Tensor, source: Any) -> Value:
    """Rows of an axis by a constant index."""
    return put(at, x, source, lambda ids: ids.index_select(dim, index))
