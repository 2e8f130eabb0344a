# SPDX-License-Identifier: Apache-2.0
"""A refused call and its neighbourhood: what `architecture.py` recognises things by."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from hlsgen.frontend.read.export import Call, Export, Ref, refs, uses
from hlsgen.frontend.rules.terms import Value

LAYERS = frozenset(["linear", "addmm", "conv1d", "conv2d", "conv3d", "layer_norm", "rms_norm"])
"""Where a walk within one part of a block ends."""
ATTENTION = frozenset(["scaled_dot_product_attention", "softmax", "_softmax", "_safe_softmax"])
_MIXTURES = ("expert", "moe", "mixture")
FAR = 60
"""Calls that a walk visits at most."""


def short(call: Call) -> str:
    """The operator's name without library and overload: `add` for `aten.add_.Tensor`."""
    parts = call.target.split(".")
    name = parts[1] if len(parts) == 3 else parts[0]
    return name.rstrip("_") if not name.startswith("_") else name


class Neighbours:
    """Who makes and who reads each value of an export."""

    def __init__(self, export: Export) -> None:
        """Index all calls once."""
        self.makers = {call.name: call for call in export.calls}
        self.readers: dict[str, list[Call]] = {}
        for call in export.calls:
            for name in set(uses(call)):
                self.readers.setdefault(name, []).append(call)
        self.outputs = {item.name for item in export.outputs if isinstance(item, Ref)}

    def walk(self, start: Call, *, back: bool, layers: bool) -> list[Call]:
        """Calls before (`back`) or behind a call, the nearest first; not beyond layers unless `layers`."""
        found: dict[str, Call] = {}
        queue = deque([start])
        while queue and len(found) < FAR:
            call = queue.popleft()
            if call is not start:
                if call.name in found:
                    continue
                found[call.name] = call
                if not layers and short(call) in LAYERS:
                    continue
            if back:
                queue += [self.makers[name] for name in uses(call) if name in self.makers]
            else:
                queue += self.readers.get(call.name, ())
        return list(found.values())


@dataclass(frozen=True)
class Site:
    """A refused call, why it was refused, and the values around it."""

    call: Call
    what: str
    neighbours: Neighbours
    values: Mapping[str, Any] = field(repr=False)

    @cached_property
    def op(self) -> str:
        return short(self.call)

    @cached_property
    def operands(self) -> list[Any]:
        """The values of the tensors that the call reads."""
        return [self.values.get(name) for name in uses(self.call)]

    @cached_property
    def computed(self) -> list[Value]:
        """Those that the image decides."""
        return [x for x in self.operands if isinstance(x, Value)]

    @cached_property
    def constants(self) -> list[torch.Tensor]:
        """Those that it does not."""
        return [x for x in self.operands if isinstance(x, torch.Tensor)]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return self.call.shape or ()

    def names(self, *, back: bool, layers: bool = False) -> frozenset[str]:
        """Operators before or behind the call."""
        return frozenset(short(call) for call in self.walked(back=back, layers=layers))

    def walked(self, *, back: bool, layers: bool = False) -> list[Call]:
        """The calls before or behind the call."""
        return self.neighbours.walk(self.call, back=back, layers=layers)

    @cached_property
    def near(self) -> frozenset[str]:
        """The call itself, and what stands around it within one part of a block."""
        return self.names(back=True) | self.names(back=False) | {self.op}

    @cached_property
    def to_attention(self) -> bool:
        """Whether the result is a query, a key, a value or a score."""
        return bool(ATTENTION & self.names(back=False)) or self.op in ATTENTION

    @cached_property
    def from_attention(self) -> bool:
        """Whether attention lies before the call, in the same part of the block."""
        return bool(ATTENTION & self.names(back=True)) or self.op in ATTENTION

    @cached_property
    def attention(self) -> bool:
        """Whether the call is a part of attention."""
        return (self.to_attention or self.from_attention) and not self.routed

    @cached_property
    def routed(self) -> bool:
        """Whether a module of experts works on what a router has chosen, by its softmax perhaps."""
        return "topk" in self.names(back=True) and any(word in self.modules for word in _MIXTURES)

    @cached_property
    def before_blocks(self) -> bool:
        """Whether nothing but convolutions and what belongs to them lies between the image and the call."""
        return not (self.names(back=True, layers=True) & (ATTENTION | {"linear", "matmul", "layer_norm"}))

    @cached_property
    def last(self) -> bool:
        """Whether the result is an output of the model, perhaps as another view."""
        behind = self.walked(back=False, layers=True)
        names = {self.call.name, *(call.name for call in behind)}
        return bool(names & self.neighbours.outputs) and len(behind) <= 3

    @cached_property
    def windows(self) -> bool:
        """Whether tokens lie in groups around the call: six axes, a shift, several batches."""
        around = [self.call, *self.walked(back=True)[:20], *self.walked(back=False)[:20]]
        grouped = any(len(call.shape or ()) >= 6 or short(call) == "roll" for call in around)
        batches = any(
            math.prod(x.shape[:-3]) > 1 for x in self.computed if len(x.shape) >= 4 and self.attention
        )
        return grouped or batches

    @cached_property
    def by_element(self) -> bool:
        """Whether PyTorch says that the operator works element by element."""
        _, name, overload = (*self.call.target.split("."), "", "")[:3]
        operator = getattr(getattr(torch.ops.aten, name or "none", None), overload or "default", None)
        return torch.Tag.pointwise in getattr(operator, "tags", ())

    @cached_property
    def modules(self) -> str:
        """The module path in lower case."""
        return self.call.source.module.lower()

    def argument(self, position: int, name: str) -> Any:
        """An argument by position or name; tensors as their values."""
        given = self.call.args[position] if len(self.call.args) > position else self.call.kwargs.get(name)
        return self.values.get(next(refs(given))) if isinstance(given, Ref) else given


def differs_by_token(constant: torch.Tensor) -> bool:
    """Whether a constant [..., T, N] is not the same for each token."""
    return (
        constant.dim() >= 2
        and constant.shape[-2] > 1
        and not torch.equal(constant, constant[..., :1, :].expand_as(constant))
    )
