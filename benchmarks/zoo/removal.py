# SPDX-License-Identifier: Apache-2.0
"""Whether a list of problems is whole: with all listed ones removed, nothing new may appear.

A refused call is replaced in the export by one that gives tokens of the same shape and that every layer may
read: as if the user had mended exactly that. Unlike the reader's own stand-ins it is one fixed choice, with a
layout that every later call must cope with.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from hlsgen.errors import TypeMismatch
from hlsgen.frontend.capture import Capture, examine
from hlsgen.frontend.read.export import Call, Export, Ref, uses
from hlsgen.frontend.rules.interpret import BLOCKED, REFUSED
from hlsgen.frontend.rules.rule import CallSite, rule
from hlsgen.frontend.rules.signs import CONVOLUTIONS, POOLS, UP
from hlsgen.frontend.rules.site import short
from hlsgen.frontend.rules.terms import Join, Unknown, Value
from hlsgen.frontend.rules.unknowns import layouts
from hlsgen.ir import Source, TensorType
from hlsgen.ops import Linear
from hlsgen.ops.kinds import Part

MENDED = "zoo.mended.default"
ROUNDS = 4
_CHANNELS_FIRST = CONVOLUTIONS | POOLS | UP | {"batch_norm", "group_norm", "native_group_norm"}


class _AnyPart:
    """A place in a model that every layer may read."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) or other is self

    def __hash__(self) -> int:
        return 0


@dataclass(frozen=True)
class Mended(Linear):
    """Tokens that anything may read."""

    part: ClassVar[Any] = _AnyPart()


@rule(MENDED)
def mended(at: CallSite, like: Any, shape: tuple[int, ...], first: bool) -> Any:
    """The argument where it has the shape and its tokens lie in order, else tokens that do.

    A problem of order or of constants is mended where it is listed, so it does not go on from there. The
    tokens' channels are the first axis behind the batch (`first`) or the last; four axes are heads too.
    """
    if isinstance(like, Value) and like.shape == shape and _in_order(like):
        return like
    heads = len(shape) == 4 and not first
    width = shape[1] if first else (*shape, 1)[-1] * (shape[1] if heads else 1)
    rows = math.prod(shape) // width
    before = at.terms.new(Unknown(), (), "mended", Source(), TensorType((rows, 1)))
    op = Mended(weight=np.ones((width, 1), np.float32), bias=np.zeros(width, np.float32))
    term = at.terms.make(op, (before,), "mended", at.call.source)
    ids = torch.arange(rows * width)
    if first:
        ids = ids.reshape(shape[0], -1, width).transpose(1, 2)
    if heads:
        batch, count, tokens, channels = shape
        ids = ids.reshape(batch, tokens, count, channels).permute(0, 2, 1, 3)
    return Value(term, ids.reshape(shape))


def _in_order(value: Value) -> bool:
    """Whether a value is whole tokens of one layer, as any call may read them."""
    if isinstance(value.scale, torch.Tensor) or value.offset is not None or isinstance(value.term.op, Join):
        return False
    low = int(value.ids.min())
    ids = value.ids - low
    return low >= 0 and any(torch.equal(ids, wanted) for wanted, _ in layouts(value.shape))


def removed(export: Export, result: Capture) -> Export:
    """The export without the calls that were refused."""
    shapes = {call.name: call.shape for call in export.calls}
    shapes |= {item.name: item.shape for item in export.inputs if hasattr(item, "shape")}  # type: ignore[union-attr]
    image = Ref(export.inputs[0].name)  # type: ignore[union-attr]

    def mend(call: Call) -> Call:
        if result.status.get(call.name) != REFUSED or call.shape is None:
            return call
        computed = [n for n in uses(call) if n not in export.constants and shapes.get(n) == call.shape]
        like = Ref(computed[0]) if computed else image
        first = len(call.shape) > 2 and short(call) in _CHANNELS_FIRST
        return dataclasses.replace(call, target=MENDED, args=(like, call.shape, first), kwargs={})

    return dataclasses.replace(export, calls=tuple(map(mend, export.calls)))


def missed(export: Export) -> list[dict[str, str]]:
    """Problems that the first list does not have, and that appear once its calls are removed."""
    first = examine(export)
    known = {_place(problem.where) for problem in first.problems} | {""}
    new, result = [], first
    for _ in range(ROUNDS):
        if not any(status in (REFUSED, BLOCKED) for status in result.status.values()):
            break
        export = removed(export, result)
        try:
            result = examine(export)
        except (TypeMismatch, StopIteration):
            break  # every problem is gone, and a graph can't hold what was put in their place
        for problem in result.problems:
            lines = _place(problem.where)
            if lines not in known and not any(part in known for part in lines.split(", ")):
                known.add(lines)
                new.append(dataclasses.asdict(problem))
    return new


def _place(where: str) -> str:
    """The lines of a problem without its modules."""
    return where.rpartition(" at ")[2]
