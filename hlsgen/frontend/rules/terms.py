# SPDX-License-Identifier: Apache-2.0
"""Terms and values: what the front end knows about each tensor while it reads an export.

A *term* is a node of the graph to be: one op on whole [T, N] (or [H, T, S]) tensors. A *value* is what a
tensor of the export is made of: every element is `scale * term[id] + offset`, or only `offset` where the id
is -1. Reshapes, permutations, splits and concatenations just rearrange the ids, so any spelling of the same
data movement ends as the same ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from hlsgen.errors import HlsgenError
from hlsgen.frontend.read.places import identifier
from hlsgen.ir import Op, Source, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Constant,
    Gather,
    Linear,
    Matmul,
    Patches,
    Select,
    Transpose,
)
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part


class Refusal(HlsgenError):
    """Raised inside the front end; becomes a `Problem` with the place of the call at hand."""

    def __init__(
        self,
        what: str,
        why: str = "",
        fix: str = "",
        *,
        intrinsic: bool = False,
        source: Source | None = None,
        instead: object = None,
    ) -> None:
        """Take the parts of a `Problem`; its place is `source`, or that of the call at hand.

        `intrinsic`: true whatever the inputs are, so it also counts behind another problem. `instead`: what
        the call would give without what is refused; the reader goes on with it.
        """
        super().__init__(what)
        self.instead = instead
        self.source = source
        self.what, self.why, self.fix, self.intrinsic = what, why, fix, intrinsic


@dataclass(frozen=True, eq=False)
class Unknown(Op):
    """The result of a refused call: its shape is known, and what it hangs on.

    `of` is the only computed argument, if it has the same shape: a function of its elements, perhaps.
    `constant`: nothing of it is computed from the image. `rules/unknowns.py` judges what reads it.
    """

    of: Value | None = None
    constant: bool = False


class Mixture(FloatOp):
    """Expert results [T*k, N] and a routing [T, 2k] -> [T, N]: becomes a `Combine` where it is added."""

    part: ClassVar[Part] = Part.MIXTURE
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE), Input(Kind.ROUTING))
    gives: ClassVar[tuple[Kind, ...]] = ()

    def infer(self, *types: TensorType) -> TensorType:
        """A row for each token, as wide as a result."""
        results, route = types
        return TensorType((route.shape[0], results.shape[-1]))


class Join(Op):
    """The elements of all inputs, one input after another: several terms behind one value.

    Lives only inside the front end: whoever reads a value takes the inputs apart again.
    """


class Task:
    """The model's second input: which task's routers and output are wanted."""


@dataclass(frozen=True, eq=False)
class Term:
    """One op on whole tensors; `op` is None for the input image."""

    op: Op | None
    inputs: tuple[Term, ...]
    name: str
    source: Source
    type: TensorType
    serial: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.type.shape)

    @property
    def is_embedding(self) -> bool:
        """Whether this is the patch embedding before bias, position and class token."""
        return isinstance(self.op, Linear) and isinstance(self.inputs[0].op, Patches)


@dataclass(frozen=True, eq=False)
class Value:
    """Elements `scale * term[ids] + offset`; ids is int64 of the export's shape.

    `scale` is a number, or a float64 tensor of that shape; `offset` is such a tensor, or None for zeros. An
    element with the id -1 is its offset alone.
    """

    term: Term
    ids: torch.Tensor
    scale: float | torch.Tensor = 1.0
    offset: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.ids.shape)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Value:
        """The same rearrangement applied to ids, scale and offset."""
        scale = function(self.scale) if isinstance(self.scale, torch.Tensor) else self.scale
        offset = None if self.offset is None else function(self.offset)
        return Value(self.term, function(self.ids), scale, offset)

    def expand(self, shape: tuple[int, ...]) -> Value:
        """The value repeated along axes of size 1 and new leading axes."""
        return self if shape == self.shape else self.map(lambda x: x.expand(shape))

    def scaled(self, factor: float | torch.Tensor) -> Value:
        """The value times a number, or a float64 tensor of its shape."""
        offset = None if self.offset is None else self.offset * factor
        return Value(self.term, self.ids, self.scale * factor, offset)

    def plus(self, constant: torch.Tensor) -> Value:
        """The value plus a constant; both broadcast."""
        try:
            shape = tuple(torch.broadcast_shapes(self.shape, tuple(constant.shape)))
        except RuntimeError:
            what = f"a constant of shape {tuple(constant.shape)} must broadcast to {self.shape}"
            raise Refusal(what) from None
        value = self.expand(shape)
        total = constant.double().expand(shape)
        total = total.clone() if value.offset is None else total + value.offset
        return Value(value.term, value.ids, value.scale, total if bool(total.any()) else None)

    def factor(self) -> float:
        """The scale as one number for all elements, or a refusal."""
        if not isinstance(self.scale, torch.Tensor):
            return self.scale
        first = float(self.scale.flatten()[0])
        if not bool((self.scale == first).all()):
            raise Refusal(
                "multiplication by a constant tensor has no place here",
                why="a factor per channel can only be part of a linear layer or a norm",
            )
        return first


@dataclass
class Terms:
    """Makes terms; equal requests for columns, rows or folded factors give the same term."""

    made: list[Term] = field(default_factory=list)
    _cache: dict[Hashable, Term] = field(default_factory=dict)

    @property
    def image(self) -> Term:
        """The input: the first term."""
        return self.made[0]

    def new(
        self, op: Op | None, inputs: tuple[Term, ...], name: str, source: Source, kind: TensorType
    ) -> Term:
        """A term of a known type."""
        term = Term(op, inputs, name, source, kind, len(self.made))
        self.made.append(term)
        return term

    def make(self, op: Op, inputs: tuple[Term, ...], name: str, source: Source) -> Term:
        """A term whose type the op infers."""
        return self.new(op, inputs, name, source, op.infer(*(term.type for term in inputs)))

    def cached(self, key: Hashable, build: Callable[[], Term]) -> Term:
        """The term made for `key` before, or a new one."""
        if key not in self._cache:
            self._cache[key] = build()
        return self._cache[key]

    def mark(self) -> tuple[int, int]:
        """What has been made so far, for `forget`."""
        return len(self.made), len(self._cache)

    def forget(self, mark: tuple[int, int]) -> None:
        """Drop all that was made since: a trial, whose weights would fill the memory."""
        made, cached = mark
        del self.made[made:]
        while len(self._cache) > cached:
            self._cache.popitem()

    def unknown(self, shape: tuple[int, ...], of: Value | None = None, *, constant: bool = False) -> Term:
        """A term that stands for the result of a refused call."""
        return self.new(Unknown(of, constant), (), "unknown", Source(), TensorType(shape))

    def value(self, term: Term, shape: tuple[int, ...] | None = None) -> Value:
        """The whole term in raster order, as a tensor of `shape`."""
        if shape is not None and math.prod(shape) != term.size:
            raise Refusal(f"a result of shape {list(term.shape)} can't have the shape {list(shape)}")
        ids = torch.arange(term.size)
        return Value(term, ids.reshape(term.shape if shape is None else shape))

    def columns(self, term: Term, columns: np.ndarray, name: str) -> Term:
        """Some output columns of a linear layer, in the given order; also behind what works by element."""
        op, key = term.op, ("columns", term, columns.tobytes())
        if isinstance(op, Activation | AddConstant):
            new = AddConstant(value=op.value[:, columns]) if isinstance(op, AddConstant) else op
            before = self.columns(term.inputs[0], columns, name)
            return self.cached(key, lambda: self.make(new, (before,), term.name, term.source))
        if not isinstance(op, Linear) or term.is_embedding:
            raise Refusal(
                "the elements of a token are split or reordered",
                why="only the result of a linear layer can be split, by splitting its weight",
            )
        part = Linear(weight=op.weight[columns], bias=op.bias[columns])
        return self.cached(key, lambda: self.make(part, term.inputs, name or term.name, term.source))

    def constant(self, op: Constant, name: str, source: Source) -> Term:
        """Rows that are the same for every image; equal ones are one term."""
        key = ("constant", op.value.shape, op.value.tobytes())
        return self.cached(key, lambda: self.make(op, (self.image,), name, source))

    def product(self, left: Constant, right: Term) -> Term:
        """A constant [M, T] times a term [T, N]: tokens mixed by fixed numbers."""
        matrix = self.constant(left, f"{right.name}_rows", right.source)
        op = Matmul(heads=1, transposed=False, scale=1.0)
        return self.cached(
            ("product", matrix, right),
            lambda: self.make(op, (matrix, right), f"{right.name}_placed", right.source),
        )

    def join(self, terms: tuple[Term, ...], source: Source) -> Term:
        """All elements of several terms as one."""
        kind = TensorType((sum(term.size for term in terms),))
        return self.cached(("join", terms), lambda: self.new(Join(), terms, "join", source, kind))

    def rows(self, term: Term, start: int, stop: int) -> Term:
        """A range of tokens, taken before layers that work token by token."""
        if (start, stop) == (0, term.shape[0]):
            return term

        def build() -> Term:
            if isinstance(term.op, Select):
                first = term.op.start
                return self.rows(term.inputs[0], first + start, first + stop)
            if isinstance(term.op, FloatOp) and term.op.by_token and not term.is_embedding:
                before = self.rows(term.inputs[0], start, stop)
                return self.make(term.op, (before,), term.name, term.source)
            return self.make(Select(start=start, stop=stop), (term,), "select", term.source)

        return self.cached(("rows", term, start, stop), build)

    def scaled(self, term: Term, factor: float) -> Term:
        """The term times a number, folded into its op."""
        op = term.op
        if op is None or factor == 1.0:
            return term
        inputs = term.inputs
        if isinstance(op, FloatOp) and op.part is Part.MIXTURE:
            new: Op | None = op
            inputs = (self.scaled(inputs[0], factor), *inputs[1:])
        elif isinstance(op, Transpose | Select | Gather):
            new, inputs = op, (self.scaled(inputs[0], factor),)
        elif isinstance(op, Matmul) and factor < 0:
            new, inputs = op.times(-factor), self._negated(*inputs)
        elif is_head_sum(term):
            new, inputs = op, tuple(self.scaled(part, factor) for part in inputs)
        else:
            new = op.times(factor) if isinstance(op, FloatOp) else None
        if new is None:
            raise Refusal(
                f"multiplication by {factor:g} has no place here",
                why="a constant factor can only be part of a linear layer or of the attention scale",
                fix="multiply the weights of the next or previous linear layer instead",
            )
        return self._instead(("scaled", term, factor), new, term, inputs)

    def _negated(self, left: Term, right: Term) -> tuple[Term, Term]:
        """The sides of a product with the other sign; a constant takes it for nothing."""
        if isinstance(left.op, Constant):
            return self.constant(Constant(value=-left.op.value), left.name, left.source), right
        return left, self.scaled(right, -1.0)

    def shifted(self, term: Term, offset: torch.Tensor | None) -> Term:
        """The term plus an offset [T, N] that is the same for every token, folded into its bias."""
        if offset is None or not bool(offset.any()):
            return term
        if isinstance(term.op, Transpose):
            before = offset.reshape(len(offset), term.op.heads, -1).permute(2, 1, 0).flatten(1)
            shifted = self.shifted(term.inputs[0], before)
            return self.make(term.op, (shifted,), term.name, term.source)
        row = offset[0].numpy()
        if not bool((offset == offset[0]).all()):
            return self.shifted_by_token(term, offset)
        if isinstance(term.op, Add) and isinstance(term.inputs[-1].op, Linear):
            inputs = (*term.inputs[:-1], self.shifted(term.inputs[-1], offset))
            return self._instead(("shifted", term, row.tobytes()), term.op, term, inputs)
        new = term.op.plus(row) if isinstance(term.op, FloatOp) else None
        if isinstance(term.op, Matmul):
            return self.shifted_by_token(term, offset)
        if new is None:
            raise _nowhere()
        return self._instead(("shifted", term, row.tobytes()), new, term, term.inputs)

    def shifted_by_token(self, term: Term, offset: torch.Tensor) -> Term:
        """The term plus a constant for each token, where a residual stream may begin."""
        if not (isinstance(term.op, FloatOp) and term.op.part in TOKENS):
            raise _nowhere()
        constant = offset.numpy()
        op = AddConstant(value=constant)
        return self.cached(
            ("placed", term, constant.tobytes()), lambda: self.make(op, (term,), "positions", term.source)
        )

    def multiplied(self, term: Term, factors: np.ndarray) -> Term:
        """The term times one factor per column."""
        if isinstance(term.op, Transpose | Matmul) and (before := _passed(term, factors)) is not None:
            inputs = (*term.inputs[:-1], self.multiplied(term.inputs[-1], before))
            return self._instead(("multiplied", term, factors.tobytes()), term.op, term, inputs)
        new = term.op.times_columns(factors) if isinstance(term.op, FloatOp) else None
        if isinstance(term.op, Transpose | Matmul):
            diagonal = Linear(weight=np.diag(factors), bias=np.zeros(len(factors)))
            return self._instead(("multiplied", term, factors.tobytes()), diagonal, term, (term,))
        if new is None:
            raise Refusal(
                "multiplication by a constant tensor has no place here",
                why="a factor per channel can only be part of a linear layer or a layer norm",
            )
        return self._instead(("multiplied", term, factors.tobytes()), new, term, term.inputs)

    def _instead(self, key: Hashable, op: Op, term: Term, inputs: tuple[Term, ...]) -> Term:
        """The term made for `key`: `op` with the name and place of `term`."""
        return self.cached(key, lambda: self.make(op, inputs, term.name, term.source))


def _passed(term: Term, factors: np.ndarray) -> np.ndarray | None:
    """Factors per column of the last input that are those of the result of a transpose or a product."""
    op = term.op
    if not isinstance(op, Transpose | Matmul):
        return None
    group = op.shared + 1 if isinstance(op, Matmul) else 1
    every = factors.reshape(op.heads // group, group, -1)
    each = every[:, 0]
    if not bool((every == each[:, None]).all()):
        return None
    if isinstance(op, Matmul) and not op.transposed:
        return each.ravel()
    width = term.inputs[-1].shape[-1] // len(each)
    return np.repeat(each[:, 0], width) if bool((each == each[:, :1]).all()) else None


def _nowhere() -> Refusal:
    why = "constants can be added to the patch embedding and, the same for every token, to a linear layer"
    return Refusal("a constant is added where no bias can hold it", why=why)


def is_head_sum(term: Term) -> bool:
    """Whether a term adds up results of linear layers only, as models with several heads do at their end."""
    return isinstance(term.op, Add) and all(
        isinstance(part.op, Linear) or is_head_sum(part) for part in term.inputs
    )


def named(module: str, role: str) -> str:
    """The name of a node: the module path and its role in it."""
    return identifier(f"{module}.{role}" if module else role)
