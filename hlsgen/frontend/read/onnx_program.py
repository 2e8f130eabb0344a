# SPDX-License-Identifier: Apache-2.0
"""A program of ATen calls that grows with each ONNX node: what is known at once, what is computed.

A value is a tensor where it is known, and a `Ref` where it is computed from the image. A call of known values
only is run by PyTorch at once, so that shapes which a model computes are plain numbers; any other becomes a
`Call`, whose shape PyTorch infers without data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from hlsgen.frontend.read.bounds import MOST_ELEMENTS, Damaged, allowance, printable, reason
from hlsgen.frontend.read.export import GETITEM, Call, Constant, Ref
from hlsgen.frontend.read.scheme import QUANTIZER, Scheme
from hlsgen.ir import Source

Known = torch.Tensor | Ref
_META = torch.device("meta")
BEHIND = "aten.alias.default"
"""Stands for a node behind one that is not supported: nothing more is known of it."""


class Unreadable(Exception):
    """A node that has no ATen call; the text says which property of it."""


class Program:
    """Calls, constants and what is known of each value."""

    def __init__(self, size: int) -> None:
        """`size`: the bytes of the file, which bound what its nodes may unfold to."""
        self.calls: list[Call] = []
        self.constants: dict[str, Constant] = {}
        self.ranges: dict[int, tuple[int, int]] = {}
        """Integers of a known tensor, by its identity, where its type in torch has others."""
        self._metas: dict[str, torch.Tensor | None] = {}
        self._places: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._paths: dict[int, str] = {}
        self._kept: list[torch.Tensor] = []
        self._left = allowance(size)

    def input(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Ref:
        """A value that the user passes."""
        self._metas[name] = torch.empty(tuple(shape), dtype=dtype, device=_META)
        return Ref(name)

    def parameter(self, tensor: torch.Tensor, path: str) -> torch.Tensor:
        """Remember where in the model a known tensor comes from."""
        self._kept.append(tensor)
        self._paths[id(tensor)] = path
        return tensor

    def path(self, value: Any) -> str:
        """The path of a parameter; empty where there is none."""
        return self._paths.get(id(value), "")

    def shape(self, value: Any) -> tuple[int, ...]:
        """The shape of a value; `Unreadable` where it is not known."""
        meta = self._metas.get(value.name) if isinstance(value, Ref) else value
        if meta is None:
            raise Unreadable("an input of unknown shape")
        return tuple(meta.shape)

    def unknown(self, value: Any) -> bool:
        """Whether nothing is known of a value but its name."""
        return isinstance(value, Ref) and self._metas.get(value.name) is None

    def call(self, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], name: str, at: Source) -> Any:
        """The result of an operator: run at once on known values, else a new call `name`."""
        if not _computed((*args, *kwargs.values())):
            return self._run(target, args, kwargs, at)
        meta = self._infer(target, args, kwargs, at)
        given = tuple(self._argument(item) for item in args)
        named = {key: self._argument(item) for key, item in kwargs.items()}
        if isinstance(meta, tuple | list):
            self.calls.append(Call(f"{name}*", target, given, named, at, None))
            parts = [(GETITEM, (Ref(f"{name}*"), i), {}, part) for i, part in enumerate(meta)]
            return tuple(self._add(f"{name}*{i}", *part, at) for i, part in enumerate(parts))
        return self._add(name, target, given, named, meta, at)

    def foreign(
        self, target: str, args: Sequence[Any], shape: Sequence[int] | None, name: str, at: Source
    ) -> Ref:
        """A call that no rule will know; a shape lets the calls behind it be read all the same."""
        meta = None if shape is None else torch.empty(tuple(shape), device=_META)
        return self._add(name, target, tuple(self._argument(item) for item in args), {}, meta, at)

    def quantizer(self, value: Ref, scheme: Scheme, name: str, at: Source) -> Ref:
        """A value with a quantizer on it."""
        return self._add(name, QUANTIZER, (value, scheme), {}, self._metas.get(value.name), at)

    def producer(self, value: Any) -> Call | None:
        """The call that computes a value."""
        if not isinstance(value, Ref):
            return None
        place = self._places.get(value.name)
        return None if place is None else self.calls[place]

    def replace(self, old: Call, args: tuple[Any, ...]) -> Ref:
        """Other arguments for a call that is there already."""
        given = tuple(self._argument(item) for item in args)
        new = Call(old.name, old.target, given, old.kwargs, old.source, old.shape)
        self.calls[self._places[old.name]] = new
        return Ref(new.name)

    def rename(self, constant: Any, path: str) -> None:
        """Another path for a constant that a call reads."""
        if isinstance(constant, Ref) and constant.name in self.constants:
            self.constants[constant.name] = Constant(self.constants[constant.name].tensor, path)

    def _add(
        self, name: str, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], meta: Any, at: Source
    ) -> Ref:
        shape = None if meta is None else tuple(meta.shape)
        self._metas[name] = meta
        self._places[name] = len(self.calls)
        self.calls.append(Call(name, target, args, kwargs, at, shape))
        return Ref(name)

    def _argument(self, value: Any) -> Any:
        """A known tensor becomes a constant of the export."""
        if isinstance(value, list | tuple):
            return type(value)(self._argument(item) for item in value)
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) not in self._names:
            name = f"constant {len(self.constants)}"
            self._kept.append(value)
            self._names[id(value)] = name
            self.constants[name] = Constant(value, self.path(value))
        return Ref(self._names[id(value)])

    def _run(self, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], at: Source) -> Any:
        if any(tensor.numel() > MOST_ELEMENTS for tensor in _tensors(self._infer(target, args, kwargs, at))):
            raise Damaged(f"a tensor must have at most {MOST_ELEMENTS} elements")
        try:
            result = _operator(target)(*args, **kwargs)
        except (RuntimeError, TypeError, IndexError, ValueError) as error:
            raise Damaged(_at(at, reason(error))) from error
        shared = {tensor.untyped_storage().data_ptr() for tensor in _tensors((args, tuple(kwargs.values())))}
        for tensor in _tensors(result):
            if tensor.untyped_storage().data_ptr() not in shared:
                self._left -= tensor.numel() * tensor.element_size()
        if self._left < 0:
            raise Damaged("its constants unfold to more than the file's size allows")
        return result

    def _infer(self, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], at: Source) -> Any:
        """The result without data; None where PyTorch can't tell."""
        if any(map(self.unknown, (*args, *kwargs.values()))):
            return None
        try:
            meta = _operator(target)(*self._meta(args), **{key: self._meta(x) for key, x in kwargs.items()})
        except NotImplementedError:
            return None
        except (RuntimeError, TypeError, IndexError, ValueError) as error:
            raise Damaged(_at(at, reason(error))) from error
        for tensor in _tensors(meta):
            if math.prod(size or 1 for size in tensor.shape) > MOST_ELEMENTS:
                raise Damaged(_at(at, f"a tensor must have at most {MOST_ELEMENTS} elements"))
        return meta

    def _meta(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(self._meta(item) for item in value)
        if isinstance(value, Ref):
            return self._metas[value.name]
        return value.to(_META) if isinstance(value, torch.Tensor) else value


def _at(source: Source, text: str) -> str:
    return f"{printable(str(source))}: {text}" if str(source) else text


def _operator(target: str) -> Any:
    space, name, overload = target.split(".")
    return getattr(getattr(getattr(torch.ops, space), name), overload)


def _computed(values: Sequence[Any]) -> bool:
    return any(
        isinstance(item, Ref) or (isinstance(item, list | tuple) and _computed(item)) for item in values
    )


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [x for item in value for x in _tensors(item)] if isinstance(value, list | tuple) else []
