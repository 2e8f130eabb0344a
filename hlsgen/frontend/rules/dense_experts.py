# SPDX-License-Identifier: Apache-2.0
"""Experts written out densely, every one on every token, become the operator that `hlsgen.nn.MoE` exports.

What is recognised, in any of PyTorch's spellings below: gates of the k best experts, scattered into zeros;
two products with stacked weights by einsum, an activation between; the results times their gates, added up.
Anything else is left as it is, for the rules to read or to refuse.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from hlsgen.frontend.read.export import GETITEM, Call, Export, Ref
from hlsgen.frontend.rules.rule import rewrite
from hlsgen.ops.pointwise import NAMED

OPERATOR = "hlsgen.moe.default"
_EINSUM, _SUM, _ADD, _MUL = (
    "aten.einsum.default",
    "aten.sum.dim_IntList",
    "aten.add.Tensor",
    "aten.mul.Tensor",
)
_SOFTMAX = ("aten.softmax.int", "aten._softmax.default")
_ZEROS = ("aten.zeros_like.default", "aten.zeros.default", "aten.new_zeros.default")


@rewrite
def with_experts(export: Export) -> Export:
    """The export with every dense mixture as one call, under the name of its last one."""
    if not any(call.target == "aten.topk.default" for call in export.calls):
        return export
    mixtures = _Mixtures(export)
    calls = tuple(mixtures.mixture(call) or call for call in export.calls)
    return dataclasses.replace(export, calls=calls)


class _Other(Exception):
    """It is something else."""


class _Mixtures:
    """Follows a mixture from its last call back to the tokens."""

    def __init__(self, export: Export) -> None:
        self._calls = {call.name: call for call in export.calls}
        self._constants = export.constants

    def mixture(self, last: Call) -> Call | None:
        """The mixture that ends with this call, as one call."""
        if last.target not in (_SUM, _EINSUM):
            return None
        try:
            gates, results = self._combination(last)
            x, weights, activation = self._layers(results)
            router, k, convention = self._gates(gates, x)
        except (_Other, IndexError, KeyError, ValueError, TypeError):
            return None
        arguments = (x, *router, *weights, None, k, convention, activation)
        return dataclasses.replace(last, target=OPERATOR, args=arguments, kwargs={})

    def _call(self, argument: Any, *targets: str) -> Call:
        call = self._calls.get(argument.name) if isinstance(argument, Ref) else None
        if call is None or call.target not in targets:
            raise _Other
        return call

    def _constant(self, argument: Any) -> torch.Tensor:
        return self._constants[_ref(argument).name].tensor

    def _combination(self, last: Call) -> tuple[Any, Any]:
        """Gates [..., E] and results [..., E, N] of their weighted sum."""
        if last.target == _EINSUM:
            return self._product(last)
        product = self._call(last.args[0], _MUL)
        dims = last.args[1]
        rank = len(product.shape or ())
        _same([dim % rank for dim in dims], [rank - 2])
        _same(bool(last.args[2:] and last.args[2]), False)
        for gates, results in (product.args, product.args[::-1]):
            spread = self._calls.get(gates.name) if isinstance(gates, Ref) else None
            if spread is not None and spread.target == "aten.unsqueeze.default":
                _same(spread.args[1] % rank, rank - 1)
                return spread.args[0], results
        raise _Other

    def _product(self, call: Call) -> tuple[Any, Any]:
        """The same of an einsum over the experts."""
        (left, right), out, (a, b) = _equation(call)
        if len(left) > len(right):
            left, right, a, b = right, left, b, a
        tokens, expert, width = right[:-2], right[-2], right[-1]
        _same((left, out), ((*tokens, expert), (*tokens, width)))
        return a, b

    def _layers(self, results: Any) -> tuple[Any, tuple[torch.Tensor, ...], str]:
        """The tokens, weights [E, H, K] and biases of both layers, and the activation between."""
        second, second_bias = self._biased(results)
        (inner, weight), out, (hidden, name) = _equation(second)
        tokens, expert, middle = inner[:-2], inner[-2], inner[-1]
        _same(out[:-1], (*tokens, expert))
        w2 = _ordered(self._constant(name), weight, (expert, out[-1], middle))
        active = self._call(hidden, "aten.gelu.default", "aten.relu.default")
        first, first_bias = self._biased(active.args[0])
        (inner, weight), out, (x, name) = _equation(first)
        tokens, width = inner[:-1], inner[-1]
        _same(out[:-2], tokens)
        w1 = _ordered(self._constant(name), weight, (out[-2], out[-1], width))
        b1, b2 = _bias(first_bias, w1), _bias(second_bias, w2)
        return _ref(x), (w1, b1, w2, b2), _activation(active)

    def _biased(self, argument: Any) -> tuple[Call, torch.Tensor | None]:
        """An einsum, and the constant that is added to it."""
        call = self._call(argument, _ADD, _EINSUM)
        if call.target == _EINSUM:
            return call, None
        _same(call.kwargs, {})
        product, bias = call.args if self._is_call(call.args[0]) else call.args[::-1]
        return self._call(product, _EINSUM), self._constant(bias)

    def _is_call(self, argument: Any) -> bool:
        return isinstance(argument, Ref) and argument.name in self._calls

    def _gates(self, gates: Any, x: Ref) -> tuple[tuple[torch.Tensor, torch.Tensor | None], int, str]:
        """The router's weight and bias, k and the convention of gates scattered into zeros."""
        scatter = self._call(gates, "aten.scatter.src")
        zeros, dim, index, source = scatter.args
        self._call(zeros, *_ZEROS)
        _last(dim, scatter)
        chosen = self._call(index, GETITEM)
        _same(chosen.args[1], 1)
        best = self._call(chosen.args[0], "aten.topk.default")
        _same((best.args[2:3] or (-1,))[0] in (-1, len(scatter.shape or ()) - 1), True)
        _same(tuple(best.args[3:4]) in ((), (True,)) and best.kwargs.get("largest", True), True)
        convention, logits = self._convention(source, best, scatter)
        linear = self._call(logits, "aten.linear.default")
        _same(linear.args[0], x)
        bias = self._constant(linear.args[2])[None] if linear.args[2:] and linear.args[2] else None
        return (self._constant(linear.args[1])[None], bias), best.args[1], convention

    def _convention(self, source: Any, best: Call, scatter: Call) -> tuple[str, Any]:
        """How gates are made of logits, and the logits."""
        call = self._call(source, GETITEM, "aten.div.Tensor", "aten.sigmoid.default", *_SOFTMAX)
        before = self._calls[_ref(best.args[0]).name]
        if call.target == "aten.div.Tensor":
            total = self._call(call.args[1], _SUM)
            _same((total.args[0], total.args[2:3]), (call.args[0], (True,)))
            _last(total.args[1][0], scatter)
            self._value_of(call.args[0], best)
            return "renormalised", self._softmax(before, scatter)
        if call.target == GETITEM:
            self._value_of(source, best)
            if before.target == "aten.sigmoid.default":
                return "sigmoid", before.args[0]
            return "softmax_all", self._softmax(before, scatter)
        self._value_of(call.args[0], best)
        if call.target == "aten.sigmoid.default":
            return "sigmoid", best.args[0]
        _last(call.args[1], scatter)
        return "softmax_topk", best.args[0]

    def _softmax(self, call: Call, scatter: Call) -> Any:
        _same(call.target in _SOFTMAX, True)
        _last(call.args[1], scatter)
        return call.args[0]

    def _value_of(self, argument: Any, best: Call) -> None:
        """The argument is the first result of `best`."""
        _same(self._call(argument, GETITEM).args, (Ref(best.name), 0))


def _same(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise _Other


def _last(dim: int, call: Call) -> None:
    """`dim` is the last one of the call's result."""
    _same(dim in (-1, len(call.shape or ()) - 1), True)


def _ref(argument: Any) -> Ref:
    if not isinstance(argument, Ref):
        raise _Other
    return argument


def _equation(call: Call) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...], tuple[Any, Any]]:
    """Letters of both factors and of the result of an einsum, and the factors; `...` counts as a letter."""
    sides, _, result = call.args[0].replace(" ", "").replace("...", "*").partition("->")
    left, right = sides.split(",")
    a, b = call.args[1]
    return (tuple(left), tuple(right)), tuple(result), (a, b)


def _ordered(weight: torch.Tensor, letters: tuple[str, ...], wanted: tuple[str, ...]) -> torch.Tensor:
    """The weight with its dimensions in the wanted order."""
    _same(sorted(letters), sorted(wanted))
    _same(len(set(wanted)), weight.dim())
    return weight.permute([letters.index(letter) for letter in wanted])


def _bias(bias: torch.Tensor | None, weight: torch.Tensor) -> torch.Tensor:
    """The bias [E, outputs], zeros for none."""
    if bias is None:
        return torch.zeros(weight.shape[:2])
    _same(tuple(bias.shape[-2:]), tuple(weight.shape[:2]))
    return bias.reshape(weight.shape[:2])


def _activation(call: Call) -> str:
    if call.target == "aten.relu.default":
        return "relu"
    name = {"none": "gelu", "tanh": "gelu_tanh"}[call.kwargs.get("approximate", "none")]
    _same(name in NAMED, True)
    return name
