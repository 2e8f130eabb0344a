# SPDX-License-Identifier: Apache-2.0
"""Rules for functions of one element, in any spelling.

Each operator composes its own expression with those before it, as far as all of them read the same layer: a
GELU that is written out is one function in the end, under its name if it has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import absorbed
from hlsgen.frontend.rules.routing import Best, Gates, of_hidden, other
from hlsgen.frontend.rules.rule import CallSite, computed, rule
from hlsgen.frontend.rules.scores import as_product
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Unknown, Value
from hlsgen.frontend.rules.tokens import settled, source
from hlsgen.ops import Activation
from hlsgen.ops.pointwise import NAMED, compose, function

_DIRECT = {
    "relu": "relu",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu6": "relu6",
    "hardswish": "hardswish",
    "hardsigmoid": "hardsigmoid",
    "special_expit": "sigmoid",
    "abs": "abs(x)",
    "sign": "sign(x)",
    "exp": "exp(x)",
    "special_expm1": "expm1(x)",
    "expm1": "expm1(x)",
    "log": "log(x)",
    "log1p": "log1p(x)",
    "sqrt": "sqrt(x)",
    "rsqrt": "div(1.0, sqrt(x))",
    "reciprocal": "div(1.0, x)",
    "square": "mul(x, x)",
    "sin": "sin(x)",
    "cos": "cos(x)",
    "atan": "atan(x)",
    "erf": "erf(x)",
    "special_erf": "erf(x)",
    "floor": "floor(x)",
    "softsign": "div(x, add(1.0, abs(x)))",
    "log_sigmoid": "sub(min(x, 0.0), log1p(exp(sub(0.0, abs(x)))))",
    "mish": "mul(x, tanh(add(max(x, 0.0), log1p(exp(sub(0.0, abs(x)))))))",
    "selu": "where(gt(x, 0.0), mul(1.0507009873554805, x), mul(1.7580993408473766, expm1(min(x, 0.0))))",
}
"""Operator of one tensor -> its function."""
_GRID = np.linspace(-12.0, 12.0, 2401)
_SAME = 1e-7
"""Functions that differ less, on a grid, are one: float32 has no more digits."""


@dataclass(frozen=True)
class Root:
    """A value as a function of the elements `ids` of a term."""

    term: Term
    ids: torch.Tensor
    text: str
    factor: float = 1.0

    @property
    def whole(self) -> str:
        """The function, factor and all."""
        return self.text if self.factor == 1.0 else compose(f"mul(x, {self.factor!r})", self.text)


def root(terms: Terms, value: Value) -> Root:
    """The term and the function of its elements that a value is; raises `Refusal`."""
    value = as_product(terms, value)
    for term in value.term.inputs if isinstance(value.term.op, Join) else (value.term,):
        source(terms, terms.value(term))  # no image, no attention scores
    scale, offset = _number(value.scale), _number(value.offset)
    if bool((value.ids < 0).any()):
        value, scale, offset = terms.value(settled(terms, value), value.shape), 1.0, 0.0
    elif scale is None or offset is None or (offset and value.term.is_embedding):
        value, scale, offset = _with_constants(terms, value), 1.0, 0.0
    term, text = _behind(terms, value.term)
    if offset == 0.0:
        return Root(term, value.ids, text, scale)
    return Root(term, value.ids, compose(f"add(mul(x, {scale!r}), {offset!r})", text))


def _with_constants(terms: Terms, value: Value) -> Value:
    """The value with its constants in the layer that makes it, or in one of their own."""
    try:
        return absorbed(terms, value)
    except Refusal:
        return terms.value(settled(terms, value), value.shape)


def _behind(terms: Terms, term: Term) -> tuple[Term, str]:
    """What a term is a function of, and the function."""
    if isinstance(term.op, Activation):
        return term.inputs[0], _text(term.op.function)
    if isinstance(term.op, Join):
        inner = [_behind(terms, part) for part in term.inputs]
        if len({text for _, text in inner}) == 1:
            return terms.join(tuple(part for part, _ in inner), term.source), inner[0][1]
    return term, "x"


def _text(name: str) -> str:
    return f"{name}(x)" if name in NAMED else name


def _number(constant: float | torch.Tensor | None) -> float | None:
    """The number that a scale or an offset is everywhere, if it is one."""
    if constant is None:
        return 0.0
    if not isinstance(constant, torch.Tensor):
        return constant
    first = float(constant.flatten()[0])
    return first if bool((constant == first).all()) else None


def applied(at: CallSite, x: Any, text: str) -> Value:
    """A function of each element of a value; raises `Refusal`."""
    x = computed(x, "the activation's input")
    if isinstance(x.term.op, Unknown):
        raise Refusal("the activation's input is unknown")
    if (
        isinstance(x.term.op, Best)
        and x.term.op.convention == "logits"
        and text == "sigmoid"
        and x.scale == 1.0
    ):
        return other(at, x, "sigmoid")
    if isinstance(x.term.op, Gates):
        return of_hidden(at, x, text)
    found = root(at.terms, x)
    return emitted(at, found, _composed(_text(text), found.whole))


def folded(at: CallSite, value: Value) -> Value:
    """An activation's result with the number that is added to it as a part of the function."""
    if not isinstance(value.term.op, Activation) or value.offset is None:
        return value
    try:
        found = root(at.terms, value)
    except Refusal:
        return value
    return emitted(at, found, found.whole)


def _composed(outer: str, inner: str) -> str:
    try:
        return compose(outer, inner)
    except ValueError as error:
        raise Refusal("a function of an activation is too long", why=str(error)) from error


def emitted(at: CallSite, found: Root, text: str) -> Value:
    """The function of a root's elements, a factor apart from it."""
    name, factor = canonical(text)
    term = found.term
    if isinstance(term.op, Join):
        made = at.terms.join(tuple(_activation(at, part, name) for part in term.inputs), term.source)
    else:
        made = _activation(at, term, name)
    return Value(made, found.ids).scaled(factor)


def _activation(at: CallSite, term: Term, name: str) -> Term:
    op, shown = Activation(function=name), name if name in NAMED else "activation"
    return at.terms.cached(
        ("activation", term, name),
        lambda: at.terms.make(op, (term,), at.name(shown), at.call.source),
    )


def canonical(text: str) -> tuple[str, float]:
    """The name of an equal function and the factor before it; an expression without one stays."""
    if text.removesuffix("(x)") in NAMED:
        return text.removesuffix("(x)"), 1.0
    found = function(text)(_GRID)
    if not np.isfinite(found).all():
        return text, 1.0
    for name, values in _named().items():
        place = int(np.argmax(np.abs(values)))
        factor = float(found[place] / values[place])
        factor = round(factor) if abs(factor - round(factor)) < _SAME else factor
        if factor and np.allclose(found, factor * values, rtol=_SAME, atol=_SAME * abs(factor)):
            return name, float(factor)
    return text, 1.0


@cache
def _named() -> dict[str, np.ndarray]:
    return {name: function(name)(_GRID) for name in NAMED}


def together(at: CallSite, operator: str, *arguments: Any) -> Value | None:
    """`operator` of values that are functions of the same elements, and of numbers; else None."""
    values = [item for item in arguments if isinstance(item, Value)]
    if any(item.shape != values[0].shape or isinstance(item.term.op, Unknown) for item in values):
        return None
    try:
        roots = [root(at.terms, item) if isinstance(item, Value) else _literal(item) for item in arguments]
    except Refusal:
        return None
    found = [item for item in roots if isinstance(item, Root)]
    if None in roots or any(item.term is not found[0].term for item in found):
        return None
    if any(not torch.equal(item.ids, found[0].ids) for item in found):
        return None
    parts = [item.whole if isinstance(item, Root) else str(item) for item in roots]
    return emitted(at, found[0], _composed(f"{operator}({', '.join(parts)})", "x"))


def _literal(item: Any) -> str | None:
    """A number, or a constant tensor of equal elements, as text."""
    tensor = torch.as_tensor(item, dtype=torch.float64)
    found = _number(tensor) if tensor.numel() else None
    return None if found is None or math.isnan(found) else repr(found)


def _register() -> None:
    for operator, text in _DIRECT.items():

        @rule(f"aten.{operator}.default")
        def direct(at: CallSite, x: Any, *, text: str = text) -> Value:
            return applied(at, x, text)

    for operator in ("gt", "ge", "lt", "le"):

        @rule(f"aten.{operator}.Scalar", f"aten.{operator}.Tensor")
        def compared(at: CallSite, x: Any, y: Any, *, operator: str = operator) -> Value:
            return _required(together(at, operator, x, y), "two activations are compared")

    for operator, name in (("maximum", "max"), ("minimum", "min")):

        @rule(f"aten.{operator}.default", f"aten.{name}.other")
        def extreme(at: CallSite, x: Any, y: Any, *, name: str = name) -> Value:
            return _required(together(at, name, x, y), f"the {name} of two activations is taken")


def _required(found: Value | None, what: str) -> Value:
    if found is None:
        why = "the machine computes functions of one element, by a table"
        raise Refusal(what, why=why)
    return found


_register()


@rule("aten.gelu.default")
def gelu(at: CallSite, x: Any, *, approximate: str = "none") -> Value:
    """Exact or tanh GELU."""
    return applied(at, x, "gelu_tanh" if approximate == "tanh" else "gelu")


@rule("aten.pow.Tensor_Scalar")
def power(at: CallSite, x: Any, exponent: float) -> Value:
    """A power with a constant exponent."""
    return applied(at, x, f"pow(x, {float(exponent)!r})")


@rule("aten.clamp.default", "aten.hardtanh.default")
@rule("aten.clip.default", "aten.clamp.Tensor")
def clamp(at: CallSite, x: Any, min: Any = None, max: Any = None) -> Value:  # noqa: A002 - torch's names
    """Limits, of which one may be missing."""
    if at.call.target.startswith("aten.hardtanh") and min is None:
        min = -1.0  # noqa: A001 - torch's default
    if at.call.target.startswith("aten.hardtanh") and max is None:
        max = 1.0  # noqa: A001 - torch's default
    text = "x"
    for name, limit in (("max", min), ("min", max)):
        if limit is not None:
            number = _literal(limit) if not isinstance(limit, Value) else None
            if number is None:
                raise Refusal("an activation is limited by more than one number")
            text = f"{name}({text}, {number})"
    return applied(at, x, text)


@rule("aten.clamp_min.default")
def clamp_min(at: CallSite, x: Any, limit: float) -> Value:
    """A lower limit."""
    return clamp(at, x, limit, None)


@rule("aten.clamp_max.default")
def clamp_max(at: CallSite, x: Any, limit: float) -> Value:
    """An upper limit."""
    return clamp(at, x, None, limit)


@rule("aten.leaky_relu.default", "aten.prelu.default")
def leaky_relu(at: CallSite, x: Any, slope: Any = 0.01) -> Value:
    """x, times the slope below zero."""
    number = _literal(slope)
    if number is None:
        raise Refusal("PReLU must have one slope for all channels", why="a layer has one table")
    return applied(at, x, f"where(gt(x, 0.0), x, mul(x, {number}))")


@rule("aten.elu.default")
def elu(at: CallSite, x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """ELU with its factors."""
    below = f"mul({float(alpha)!r}, expm1(mul({float(input_scale)!r}, min(x, 0.0))))"
    return applied(at, x, f"mul({float(scale)!r}, where(gt(x, 0.0), x, {below}))")


@rule("aten.softplus.default")
def softplus(at: CallSite, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """log(1 + exp(beta x)) / beta, the input itself from the threshold on."""
    inner = f"mul({float(beta)!r}, x)"
    soft = f"div(log1p(exp(min({inner}, {float(threshold)!r}))), {float(beta)!r})"
    return applied(at, x, f"where(gt({inner}, {float(threshold)!r}), x, {soft})")
