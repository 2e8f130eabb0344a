# SPDX-License-Identifier: Apache-2.0
"""Numbers that a model's forward takes out of constant tensors: `torch.export` stops there, and need not.

The model runs once on the example, and it is noted which tensors depend on the image. A number that is taken
out of another tensor is the same for every image: the export may have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_TAKERS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "numpy", "__array__")
"""Methods of a tensor that give numbers."""


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


class _Record(TorchFunctionMode):
    """Keeps what each taker of numbers gave, up to the first one that reads the image."""

    def __init__(self, taint: _Taint) -> None:
        super().__init__()
        self._taint, self.taken, self.closed = taint, [], False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _TAKERS and args:
            self.closed = self.closed or self._taint.has(args[0])
            if not self.closed:
                self.taken.append((func.__name__, result))
        return result


class _Replay(TorchFunctionMode):
    """Gives the numbers again, in their order."""

    def __init__(self, taken: list[tuple[str, Any]]) -> None:
        super().__init__()
        self._taken: Iterator[tuple[str, Any]] = iter(taken)
        self._items: list[Any] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        name = getattr(func, "__name__", "")
        if name == "item" and self._items:
            return self._items.pop(0)
        if name in _TAKERS and args:
            wanted, result = next(self._taken, ("", None))
            if name == wanted:
                return result
            if (name, wanted) == ("item", "tolist"):
                # An export takes a list apart, element by element.
                self._items = tree_leaves(result)
                return self._items.pop(0)
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
