# SPDX-License-Identifier: Apache-2.0
"""Rules for sums, differences and constant factors.

A constant stays on the value until a layer before or behind has a place for it. Sums of branches are taken
apart, so that each branch is added to the residual stream by itself.
"""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.rules.added_scores import widened
from hlsgen.frontend.rules.arrange import matrix, whole_rows
from hlsgen.frontend.rules.gated import combined
from hlsgen.frontend.rules.pointwise import together
from hlsgen.frontend.rules.routing import THREE_WAYS, Gated, Routing, over_total, product
from hlsgen.frontend.rules.rule import CallSite, computed, constant, floats, rule
from hlsgen.frontend.rules.scores import Outer
from hlsgen.frontend.rules.terms import Mixture, Refusal, Term, Value
from hlsgen.frontend.rules.tokens import Operand, operand
from hlsgen.ir import TensorType
from hlsgen.ops import Add, Combine, Scores
from hlsgen.ops.kinds import FloatOp, Part


def _double(number: Any) -> torch.Tensor:
    return torch.as_tensor(number, dtype=torch.float64)


@rule("aten.add.Tensor", "aten.add.Scalar")
def add(at: CallSite, x: Any, y: Any, alpha: Any = 1) -> Value:
    """Residual addition, a function of one layer's elements, or a constant."""
    if isinstance(x, Value) and isinstance(y, Value):
        return _sum(at, x, y.scaled(float(alpha)))
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    number = _double(other)
    if value is y:
        return value.scaled(float(alpha)).plus(number)
    return value.plus(number * alpha)


def _sum(at: CallSite, x: Value, y: Value) -> Value:
    if isinstance(x.term.op, Scores) != isinstance(y.term.op, Scores):
        scores, added = (x, y) if isinstance(x.term.op, Scores) else (y, x)
        try:
            return widened(at.terms, scores, added)
        except Refusal:
            if x.shape != y.shape or isinstance(added.term.op, Outer):
                raise  # else a sum of two products, of which no softmax need be
    if x.shape != y.shape:
        different = x.ids.numel() != y.ids.numel()
        shape = tuple(torch.broadcast_shapes(x.shape, y.shape))
        if shape not in (x.shape, y.shape):
            both = Outer((x, y))
            return at.terms.value(at.terms.new(both, (), "outer", at.call.source, TensorType(shape)))
        if different:
            return _sum(at, x.expand(shape), y.expand(shape))
        x, y = x.map(lambda ids: ids.reshape(shape)), y.map(lambda ids: ids.reshape(shape))
    if x.term is y.term and torch.equal(x.ids, y.ids):
        total = Value(x.term, x.ids, x.scale + y.scale)
        return total.plus(sum(part.offset for part in (x, y) if part.offset is not None) + _double(0))
    if (found := together(at, "add", x, y)) is not None:
        return found
    axis = _channels(x, y)
    moved = (part.map(lambda ids: ids.movedim(axis, -1)) for part in (x, y))
    return _joined(at, *moved).map(lambda ids: ids.movedim(-1, axis))


def _channels(x: Value, y: Value) -> int:
    """The axis along which both have the channels of a token; the last where there is no other."""
    axes = range(-1, -len(x.shape) - 1, -1)
    return next((axis for axis in axes if _has_channels(x, axis) and _has_channels(y, axis)), -1)


def _has_channels(value: Value, axis: int) -> bool:
    if len(value.term.shape) != 2 or value.shape[axis] > value.term.shape[-1]:
        return False
    return whole_rows(matrix(value.map(lambda ids: ids.movedim(axis, -1)))) is not None


def _joined(at: CallSite, x: Value, y: Value) -> Value:
    """The sum of two layers' results; a factor that neither can take stays on the sum."""
    first, second, factor = _summand(at, x), _summand(at, y), 1.0
    if first.factor != 1.0 or second.factor != 1.0:
        factor = first.factor if first.factor != 1.0 else second.factor
        if not factor:
            raise Refusal("a sum must not be multiplied by zero, or by a factor per channel")
        first, second = (_summand(at, value.scaled(1.0 / factor)) for value in (x, y))
        if first.factor != 1.0 or second.factor != 1.0:
            raise Refusal("two residual streams are added with different factors")
    terms = sorted((first.term, second.term), key=_branch_last)
    value = at.terms.value(_chain(at, *terms), x.shape).scaled(factor)
    for part in (first, second):
        if part.offset is not None:
            value = value.plus(part.offset.reshape(x.shape) * factor)
    return value


def _summand(at: CallSite, value: Value) -> Operand:
    """The tokens to add, all in order."""
    found = operand(at.terms, value)
    if found.factor is None:
        at.settle(value)  # tells what is wrong with it
        raise Refusal("a factor per channel has no place in a sum")
    return found


def _chain(at: CallSite, first: Term, second: Term) -> Term:
    """The sum of two terms, branch by branch."""
    branches = _branches(second)
    if is_stream(first) and (gated := [part for part in branches if isinstance(part.op, Gated)]):
        first = combined(at, first, gated)
        branches = [part for part in branches if not isinstance(part.op, Gated)]
    for branch in branches:
        first = _plus(at, first, branch)
    return first


def _branches(term: Term) -> list[Term]:
    """What a sum adds up, in order; a residual stream is one part."""
    if not isinstance(term.op, Add) or is_stream(term):
        return [term]
    return [part for before in term.inputs for part in _branches(before)]


def _plus(at: CallSite, first: Term, second: Term) -> Term:
    """The sum of two terms; the second is no sum."""
    if isinstance(second.op, Mixture) and is_stream(first):
        return at.terms.make(Combine(), (first, *second.inputs), at.name("combine"), at.call.source)
    return at.terms.make(Add(), (first, second), at.name("add"), at.call.source)


def _part(term: Term) -> Part | None:
    return term.op.part if isinstance(term.op, FloatOp) else None


def is_stream(term: Term) -> bool:
    """Whether a term is a residual stream, and not a sum of branches alone."""
    if isinstance(term.op, Add):
        return is_stream(term.inputs[0])
    return _part(term) in (Part.STREAM, Part.SELECTED)


def _branch_last(term: Term) -> tuple[bool, bool, int]:
    """Sorts the residual stream before the branch that is added to it."""
    return (
        not is_stream(term),
        _part(term) in (Part.LINEAR, Part.MIXTURE),
        term.serial,
    )


@rule("aten.sub.Tensor", "aten.sub.Scalar")
def sub(at: CallSite, x: Any, y: Any, alpha: Any = 1) -> Value:
    """A difference: the other one times -1 is added."""
    return add(at, x, y, -alpha)


@rule("aten.rsub.Scalar", "aten.rsub.Tensor")
def rsub(at: CallSite, x: Any, y: Any, alpha: Any = 1) -> Value:
    """A difference in the other order."""
    return add(at, y, x, -alpha)


@rule("aten.neg.default")
def neg(_: CallSite, x: Value) -> Value:
    """A change of sign."""
    return x.scaled(-1.0)


@rule("aten.mul.Tensor", "aten.mul.Scalar")
def mul(at: CallSite, x: Any, y: Any) -> Value:
    """A constant factor for each element, or a function of one layer's elements."""
    if isinstance(x, Value) and isinstance(y, Value):
        for found in (product(at, x, y), together(at, "mul", x, y)):
            if found is not None:
                return found
        if isinstance(x.term.op, Routing) or isinstance(y.term.op, Routing):
            raise Refusal(
                "gates are multiplied by what is neither an expert's result nor a mask of the chosen",
                why="the machine weighs each expert's result by its gate",
                fix=THREE_WAYS,
            )
        raise Refusal(
            "the product of two activations, element by element, is not supported",
            why="the machine multiplies activations by weights and, in attention, queries by keys",
        )
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    return times(value, _double(other))


def times(value: Value, factor: torch.Tensor) -> Value:
    """The value times a constant; both broadcast."""
    if not bool(torch.isfinite(factor).all()):
        raise Refusal("a constant factor must be finite", why="it becomes part of a weight", intrinsic=True)
    shape = tuple(torch.broadcast_shapes(value.shape, tuple(factor.shape)))
    value = value.expand(shape)
    if factor.numel() == 1:
        return value.scaled(float(factor))
    return value.scaled(factor.expand(shape))


@rule("aten.div.Tensor", "aten.div.Scalar")
def div(at: CallSite, x: Any, y: Any) -> Value:
    """A constant divisor, or a function of one layer's elements."""
    if isinstance(y, Value):
        for found in (over_total(at, x, y), together(at, "div", x, y)):
            if found is not None:
                return found
        raise Refusal("division by an activation is not supported", why="only softmax and layer norm divide")
    return times(x, 1.0 / _double(y))


@rule("aten.batch_norm.default")
def batch_norm(
    _: CallSite,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    training: bool,
    __: Any,
    eps: float,
    *___: Any,
) -> Value:
    """With its running statistics: a factor and a constant for each channel, axis 1."""
    x = computed(x, "the batch norm's input")
    if training:
        raise Refusal(
            "batch norm must be in eval mode, not in training mode",
            why="its statistics would be those of one image",
            fix="call model.eval() first",
            intrinsic=True,
        )
    middle, variance = (_double(floats(item, "the batch norm's statistics")) for item in (mean, var))
    gain = 1.0 / torch.sqrt(variance + eps)
    if weight is not None:
        gain = gain * _double(floats(weight, "the batch norm's weight"))
    shift = -middle * gain
    if bias is not None:
        shift = shift + _double(floats(bias, "the batch norm's bias"))
    shape = (1, -1, *[1] * (len(x.shape) - 2))
    return times(x, gain.reshape(shape)).plus(shift.reshape(shape))


@rule("aten._native_batch_norm_legit_no_training.default")
def batch_norm_plain(
    at: CallSite, x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float
) -> tuple[Any, ...]:
    """What torch decomposes a batch norm to."""
    return batch_norm(at, x, weight, bias, mean, var, False, momentum, eps), None, None


@rule("aten.addcmul.default")
def addcmul(at: CallSite, x: Any, first: Any, second: Any, *, value: float = 1.0) -> Value:
    """x + value * first * second."""
    product = _product(at, first, second)
    return add(at, x, product, value)


def _product(at: CallSite, first: Any, second: Any) -> Any:
    if isinstance(first, Value) or isinstance(second, Value):
        return mul(at, first, second)
    return torch.mul(torch.as_tensor(first), torch.as_tensor(second))


@rule("aten.lerp.Scalar", "aten.lerp.Tensor")
def lerp(at: CallSite, x: Any, y: Any, weight: Any) -> Value:
    """x + weight * (y - x), the weight constant."""
    share = _double(constant(torch.as_tensor(weight), "the weight between both"))
    left, right = (
        times(v, f) if isinstance(v, Value) else _double(v) * f for v, f in ((x, 1 - share), (y, share))
    )
    return add(at, left, right)
