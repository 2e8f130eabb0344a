# SPDX-License-Identifier: Apache-2.0
"""Experts written out densely: recognised in every spelling, the same numbers; near misses are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import hlsgen
from hlsgen.errors import UnsupportedModel
from hlsgen.ir import evaluate
from hlsgen.ops import ExpertLinear, Route
from hlsgen.ops.route import CONVENTIONS
from tests.support.experts import Model, Shape


def softmax_all(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = logits.softmax(-1).topk(k, -1)
    return gates, chosen


def renormalised(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = logits.softmax(-1).topk(k)
    return gates / gates.sum(-1, keepdim=True), chosen


def softmax_topk(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best, chosen = logits.topk(k, dim=-1)
    return best.softmax(-1), chosen


def sigmoid(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = logits.sigmoid().topk(k)
    return gates, chosen


GATES = {function.__name__: function for function in (softmax_all, renormalised, softmax_topk, sigmoid)}


def by_sum(gates: Tensor, results: Tensor) -> Tensor:
    return (results * gates.unsqueeze(-1)).sum(-2)


def by_einsum(gates: Tensor, results: Tensor) -> Tensor:
    return torch.einsum("bte,bted->btd", gates, results)


class Dense(nn.Module):
    """Every expert on every token."""

    def __init__(self, gate: Callable, combine: Callable, bias: bool = True, first: str = "ehd") -> None:
        super().__init__()
        self.router = nn.Linear(12, 3, bias=bias)
        sizes = {"e": 3, "h": 8, "d": 12}
        self.gate, self.combine, self.first = gate, combine, first
        self.w1 = nn.Parameter(0.3 * torch.randn([sizes[letter] for letter in first]))
        self.b1 = nn.Parameter(torch.randn(3, 8)) if bias else None
        self.w2 = nn.Parameter(0.3 * torch.randn(3, 12, 8))
        self.b2 = nn.Parameter(torch.randn(3, 12)) if bias else None

    def forward(self, x: Tensor, _: Tensor | None = None) -> Tensor:
        logits = self.router(x)
        gates, chosen = self.gate(logits, 2)
        dense = torch.zeros_like(logits).scatter(-1, chosen, gates)
        hidden = torch.einsum(f"btd,{self.first}->bteh", x, self.w1)
        hidden = functional.gelu(hidden if self.b1 is None else hidden + self.b1)
        results = torch.einsum("...eh,edh->...ed", hidden, self.w2)
        return self.combine(dense, results if self.b2 is None else results + self.b2)


def _model(dense: nn.Module) -> Model:
    torch.manual_seed(3)
    model = Model(Shape(tasks=1))
    model.blocks[0].moe = dense
    return model.eval()


def _check(dense: nn.Module, convention: str) -> None:
    model, images = _model(dense), torch.randn(2, 1, 6, 6)
    graph = hlsgen.capture(model, images[:1])
    (route,) = (node.op for node in graph if isinstance(node.op, Route))
    assert (route.k, route.convention) == (2, convention)
    assert sum(isinstance(node.op, ExpertLinear) for node in graph) == 2
    with torch.no_grad():
        wanted = model(images).numpy()
    np.testing.assert_allclose(evaluate(graph, images.numpy())[graph.output], wanted, atol=1e-5)


def test_every_convention_has_a_spelling() -> None:
    assert set(GATES) == set(CONVENTIONS)


@pytest.mark.parametrize("combine", [by_sum, by_einsum])
@pytest.mark.parametrize("convention", GATES)
def test_a_dense_mixture_is_recognised(convention: str, combine: Callable) -> None:
    _check(Dense(GATES[convention], combine), convention)


def test_other_orders_and_no_biases() -> None:
    _check(Dense(softmax_all, by_sum, bias=False, first="dhe"), "softmax_all")
    _check(Dense(lambda logits, k: sigmoid(logits, k), by_einsum, first="hed"), "sigmoid")


def smallest(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = logits.softmax(-1).topk(k, -1, False)
    return gates, chosen


def squared(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = softmax_all(logits, k)
    return gates * gates, chosen


def over_tokens(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    gates, chosen = logits.softmax(-2).topk(k, -1)
    return gates, chosen


@pytest.mark.parametrize("gate", [smallest, squared, over_tokens])
def test_what_is_only_alike_is_refused(gate: Callable) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        hlsgen.capture(_model(Dense(gate, by_sum)), np.zeros((1, 1, 6, 6), np.float32))
    assert "hlsgen.nn.MoE" in str(caught.value)
    assert "test_dense_experts.py" in str(caught.value)
