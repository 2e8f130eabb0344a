# SPDX-License-Identifier: Apache-2.0
"""Numbers that a model's forward takes out of constant tensors: `torch.export` stops there, and need not.

The model runs once on the example, and it is noted which tensors depend on the image. A number that is taken
out of another tensor is the same for every image: the export may have it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hlsgen.frontend.read.places import is_library

_TAKERS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "numpy", "__array__")
"""Methods of a tensor that give numbers."""
_EXPORTER = str(Path(torch.export.__file__).parent)


class _Taint(TorchDispatchMode):
    """Knows the memory of every tensor that depends on the image."""

    def __init__(self, images: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._kept = [image.untyped_storage() for image in images]
        self._found = {storage._cdata for storage in self._kept}

    def has(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor depends on the image."""
        return tensor.untyped_storage()._cdata in self._found

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        given = [item for item in tree_leaves((args, kwargs)) if isinstance(item, torch.Tensor)]
        result = func(*args, **(kwargs or {}))
        if any(self.has(item) for item in given):
            written = given if func._schema.is_mutable else []  # type: ignore[attr-defined]
            for item in (*tree_leaves(result), *written):
                if isinstance(item, torch.Tensor):
                    # Memory that is kept is not given to another tensor.
                    self._kept.append(item.untyped_storage())
                    self._found.add(self._kept[-1]._cdata)
        return result


_Place = tuple[tuple[str, int], ...]
_Taken = dict[tuple[str, _Place], list[Any]]
"""What each taker gave, in order, by its name and the lines of the model that called it."""


def _place() -> _Place:
    """The lines of the model that lead to a call, the innermost first."""
    found, frame = [], sys._getframe(2)
    while frame is not None and frame.f_code is not decided.__code__:
        path = frame.f_code.co_filename
        if _EXPORTER in path:
            break
        if not is_library(path):
            found.append((path, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


class _Record(TorchFunctionMode):
    """Keeps what each taker of numbers gave, up to the first one that reads the image."""

    def __init__(self, taint: _Taint) -> None:
        super().__init__()
        self._taint, self.closed = taint, False
        self.taken: _Taken = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _TAKERS and args:
            self.closed = self.closed or self._taint.has(args[0])
            if not self.closed:
                # An export takes a list apart, element by element.
                given = tree_leaves(result) if name == "tolist" else [result]
                key = "item" if name == "tolist" else name
                self.taken.setdefault((key, _place()), []).extend(given)
        return result


class _Replay(TorchFunctionMode):
    """Gives the numbers again, each at its place and in its order there."""

    def __init__(self, taken: _Taken) -> None:
        super().__init__()
        self._taken = taken

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        name = getattr(func, "__name__", "")
        if name in _TAKERS and args:
            left = self._taken.get((name, _place()))
            if left:
                return left.pop(0)
            self._taken = {}  # the export went another way than the model: from here on nothing is known
        return func(*args, **(kwargs or {}))


def decided(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TorchFunctionMode:
    """A mode under which the model's export finds the numbers of its constants.

    The model must take the same numbers whenever it runs. One that takes a number out of the image gets none
    from there on: what it makes of it can't be followed.
    """
    images = [item for item in (*args, *kwargs.values()) if isinstance(item, torch.Tensor)]
    taint = _Taint(images)
    record = _Record(taint)
    with torch.no_grad(), record, taint:
        model(*args, **kwargs)
    return _Replay(record.taken)
