# SPDX-License-Identifier: Apache-2.0
"""What an export says, as plain data: the common form of an `ExportedProgram` and a saved archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hlsgen.ir import Source

GETITEM = "getitem"
"""Target of a call that takes one of several results."""

Reference = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""What computes a program's outputs from its inputs."""


@dataclass(frozen=True)
class Ref:
    """A use of the value `name`."""

    name: str


@dataclass(frozen=True)
class Opaque:
    """An argument that is no tensor and no plain number: a graph, an object, a symbol."""

    text: str


@dataclass(frozen=True)
class Call:
    """`name = target(*args, **kwargs)`; `target` is `aten.linear.default` or the like.

    `shape` is the result's, or None when that is not one tensor of static shape.
    """

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    source: Source
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Input:
    """A tensor the user passes: its dimensions (text when symbolic) and dtype."""

    name: str
    shape: tuple[int | str, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Constant:
    """A parameter, buffer or lifted tensor and its name in the model."""

    tensor: torch.Tensor
    path: str


@dataclass(frozen=True)
class Export:
    """One forward pass in the order of execution.

    `inputs` and `outputs` hold what is not a tensor as `Opaque`; `mutations` names what is written in place
    and outlives the call (buffers, inputs).
    """

    inputs: tuple[Input | Opaque, ...]
    constants: dict[str, Constant]
    calls: tuple[Call, ...]
    outputs: tuple[Ref | Opaque, ...]
    mutations: tuple[str, ...] = field(default=())
    names: tuple[str, ...] = ()
    """Of the outputs, each by its path in what the model returns; '' is that of a tensor alone."""
    reference: Reference | None = field(default=None, compare=False)
    """What computes the outputs by other means than the calls; None: only the calls do."""


def refs(argument: Any) -> Iterator[str]:
    """Names of all values inside an argument."""
    if isinstance(argument, Ref):
        yield argument.name
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from refs(item)
    elif isinstance(argument, dict):
        for item in argument.values():
            yield from refs(item)


def uses(call: Call) -> tuple[str, ...]:
    """Names of all values a call reads."""
    return (*refs(call.args), *refs(call.kwargs))
