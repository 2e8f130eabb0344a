# SPDX-License-Identifier: Apache-2.0
"""Whether a list of problems is whole: with all listed ones removed, nothing new may appear.

A refused call is replaced in the export by one that gives tokens of the same shape and that every layer may
read: as if the user had mended exactly that. Unlike the reader's own stand-ins it is one fixed choice, with a
layout that every later call must cope with.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from hlsgen.errors import Problem
from hlsgen.frontend.capture import examine
from hlsgen.frontend.read.export import Call, Export, Input, Ref, uses
from hlsgen.frontend.read.leaves import choose, to_host
from hlsgen.frontend.rules.canonical import check
from hlsgen.frontend.rules.constants import is_check
from hlsgen.frontend.rules.interpret import BLOCKED, REFUSED, Reader, merged
from hlsgen.frontend.rules.rule import CallSite, rule
from hlsgen.frontend.rules.signs import CONVOLUTIONS, POOLS, PRODUCTS, UP
from hlsgen.frontend.rules.site import ATTENTION, LAYERS, Neighbours, short
from hlsgen.frontend.rules.terms import Join, Unknown, Value
from hlsgen.frontend.rules.unknowns import embedding, grids, layouts, scores
from hlsgen.ir import Source, TensorType
from hlsgen.ops import Linear
from hlsgen.ops.kinds import Part

MENDED = "zoo.mended.default"
ROUNDS = 4
_SOFTMAX = ATTENTION - {"scaled_dot_product_attention"}
_VIEWS = frozenset(
    ["dropout", "to", "type_as", "reshape", "view", "expand", "contiguous", "clone", "transpose"]
)
_CHANNELS_FIRST = (CONVOLUTIONS | POOLS | UP | {"batch_norm", "group_norm", "native_group_norm"}) - {
    "amax"
}  # over any axis: of tokens, of heads


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
def mended(at: CallSite, like: Any, _: Any, shape: tuple[int, ...], kind: str) -> Any:
    """What a call of this kind gives on the machine; else tokens in order.

    A problem of order or of constants is mended where it is listed, so it does not go on from there. `like`
    is an argument of the same shape, which stays where its tokens lie in order.
    """
    unknown = at.terms.unknown(shape)
    if kind in ("scores", "weights") and len(shape) > 2 and math.prod(shape[:-3]) == 1:
        return at.terms.value(scores(at.terms, unknown, kind == "weights"), shape)
    if kind == "image":
        for patch, ids in grids(at.image, shape):
            return Value(embedding(at.terms, unknown, at.image, patch), ids)
    if isinstance(like, Value) and like.shape == shape and _in_order(like, kind):
        return Value(like.term, like.ids)
    return _tokens(at, shape, kind in ("image", "channels first"), kind == "heads")


def _tokens(at: CallSite, shape: tuple[int, ...], first: bool, heads: bool) -> Value:
    """Their channels are the first axis behind the batch (`first`) or the last; or those and heads."""
    width = shape[1] if first else (shape or (1,))[-1] * (shape[1] if heads else 1)
    rows = math.prod(shape) // width
    ids = _ids(shape, first, heads)
    before = at.terms.new(Unknown(), (), "mended", Source(), TensorType((rows, 1)))
    op = Mended(weight=np.ones((width, 1), np.float32), bias=np.zeros(width, np.float32))
    return Value(at.terms.make(op, (before,), "mended", at.call.source), ids)


def _ids(shape: tuple[int, ...], first: bool, heads: bool) -> torch.Tensor:
    """Elements of tokens in the order of a shape."""
    ids = torch.arange(math.prod(shape))
    if first:
        ids = ids.reshape(shape[0], -1, shape[1]).transpose(1, 2)
    if heads:
        batch, count, *tokens, channels = shape
        turned = range(len(shape) - 2, 1, -1)  # windows, then tokens: those of all windows lie side by side
        ids = ids.reshape(batch, *tokens[::-1], count, channels)
        ids = ids.permute(0, len(shape) - 2, *(axis - 1 for axis in turned), len(shape) - 1)
    return ids.reshape(shape)


def _in_order(value: Value, kind: str) -> bool:
    """Whether a value is whole tokens of one layer, as calls of this kind may read them."""
    low = int(value.ids.min())
    known = [wanted for wanted, _ in layouts(value.shape)]
    if kind == "heads":
        known = [_ids(value.shape, False, True)]
        if value.ids.dim() == 4 and value.term.type.shape[-1] == math.prod(value.shape[2:]):
            known.append(torch.arange(value.ids.numel()).reshape(value.shape))  # not turned yet
    elif kind == "layer":
        known = known[:1]  # channels are the last axis
    whole = low >= 0 and not isinstance(value.term.op, Join)
    return whole and any(torch.equal(value.ids - low, one) for one in known)


def removed(export: Export, status: Mapping[str, str]) -> Export:
    """The export without the calls that were refused."""
    shapes = {call.name: call.shape for call in export.calls}
    shapes |= {item.name: item.shape for item in export.inputs if hasattr(item, "shape")}  # type: ignore[union-attr]
    image, around = export.inputs[0].name, Neighbours(export)  # type: ignore[union-attr]

    def mend(call: Call) -> Call:
        if status.get(call.name) != REFUSED or call.shape is None:
            return call
        computed = [n for n in uses(call) if n not in export.constants and shapes.get(n) == call.shape]
        # A layer makes tokens of its own, into which the norm behind it folds.
        alike = computed and short(call) not in _SOFTMAX | CONVOLUTIONS
        like = Ref(computed[0] if alike else image)
        kind = _kind(call, around)
        return dataclasses.replace(call, target=MENDED, args=(like, Ref(image), call.shape, kind), kwargs={})

    return dataclasses.replace(export, calls=tuple(map(mend, export.calls)))


def _kind(call: Call, around: Neighbours) -> str:
    """What a call would give: scores, weights, the image's tokens, channels first, heads, or tokens."""
    rank = len(call.shape or ())
    if short(call) in _SOFTMAX and _multiplied(call, around):
        return "weights"
    if short(call) in PRODUCTS and any(short(one) in _SOFTMAX for one in _near(call, around)):
        return "scores"
    before = around.walk(call, back=True, layers=False)
    if short(call) in CONVOLUTIONS and not any(short(one) in LAYERS for one in before):
        return "image"
    if rank > 2 and short(call) in _CHANNELS_FIRST:
        return "channels first"
    if short(call) in LAYERS:
        return "layer"
    behind = around.walk(call, back=False, layers=False)
    attends = any(short(one) in ATTENTION | PRODUCTS for one in (call, *before, *behind))
    return "heads" if attends and (rank == 4 or (rank == 5 and short(call) in ATTENTION)) else "tokens"


def _multiplied(call: Call, around: Neighbours) -> bool:
    """Whether all that reads a call's result is products, perhaps through another view of it."""
    readers = [one for one in around.readers.get(call.name, ()) if not is_check(one.target)]
    return bool(readers) and all(
        short(one) in PRODUCTS or (short(one) in _VIEWS and _multiplied(one, around)) for one in readers
    )


def _near(call: Call, around: Neighbours) -> list[Call]:
    """The calls behind a call, up to the next layer or product."""
    found: list[Call] = []
    for one in around.walk(call, back=False, layers=False):
        if short(one) in PRODUCTS:
            break
        found.append(one)
    return found


def missed(export: Export) -> list[dict[str, str]]:
    """Problems that the first list does not have, and that appear once its calls are removed."""
    known = {line for problem in examine(export).problems for line in _lines(problem.where)}
    new: list[dict[str, str]] = []
    status, _ = _read(export)
    for _ in range(ROUNDS):
        if not any(one in (REFUSED, BLOCKED) for one in status.values()):
            break
        export = removed(export, status)
        status, problems = _read(export)
        for problem in problems:
            lines = _lines(problem.where)
            if lines and not lines & known:
                known |= lines
                new.append(dataclasses.asdict(problem))
    return new


def _read(export: Export) -> tuple[dict[str, str], Sequence[Problem]]:
    """What became of each call, and all problems; no graph, which can't hold what was put in their place."""
    export, _ = to_host(choose(export, None))
    (image, *_) = export.inputs
    assert isinstance(image, Input)
    reading = Reader(export, image).run()
    return reading.status, merged([*reading.problems, *check(*reading.outputs)])


def _lines(where: str) -> set[str]:
    """The lines of a problem, each with its file, without its modules: `m at a.py:3, 5` has two."""
    found, file = set(), ""
    for part in where.rpartition(" at ")[2].partition(" and ")[0].split(", "):
        file = part.rpartition(":")[0] or file
        found.add(f"{file}:{part.rpartition(':')[2]}" if part else "")
    return found - {""}
