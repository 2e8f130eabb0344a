# SPDX-License-Identifier: Apache-2.0
"""Pooling by windows, resampling, running sums, factors of tokens: products with constant matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from frontend.refused import HEADS, IMAGE, TOKENS, WIDTH, Tiny, refusal
from support.variants import same, seeded
from torch import Tensor
from torch.nn import functional

from hlsgen.frontend.capture import capture


def _grid(x: Tensor) -> Tensor:
    return x.transpose(1, 2).unflatten(2, (2, 3))


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def _mean_of_the_last(x: Tensor) -> Tensor:
    total = x.cumsum(1)
    before = functional.pad(total, (0, 0, 2, -2))
    return (total - before) / torch.arange(1, 1 + TOKENS).clamp(max=2).view(1, -1, 1)


def _last_token(x: Tensor) -> Tensor:
    heads = x.unflatten(2, (HEADS, -1))
    last = heads[:, -1:] * torch.tensor([0.5, 1.0, 2.0])[:HEADS, None]
    return torch.cat([heads[:, :-1], last], 1).flatten(2)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "pooled": lambda x: _tokens(functional.avg_pool2d(_grid(x), 2, 1, 1, count_include_pad=False)),
    "pooled to fewer": lambda x: _tokens(functional.adaptive_avg_pool2d(_grid(x), (2, 2))),
    "pooled, one axis": lambda x: functional.avg_pool1d(functional.pad(x.mT, (2, 0)), 3, 1).mT,
    "larger": lambda x: _tokens(functional.interpolate(_grid(x), size=(3, 5), mode="bilinear")),
    "repeated": lambda x: _tokens(functional.interpolate(_grid(x), scale_factor=2)),
    "running mean": _mean_of_the_last,
    "running sum of channels": lambda x: x.cumsum(-1),
    "weighed": lambda x: x * torch.arange(1.0, 1 + TOKENS).view(1, -1, 1),
    "hidden": lambda x: x * (torch.arange(TOKENS) % 3 > 0).view(1, -1, 1),
    "heads of one token": _last_token,
    "one token added to all": lambda x: x + x[:, :1],
}


class Mixed(Tiny):
    def __init__(self, way: Callable[[Tensor], Tensor], *, late: bool) -> None:
        super().__init__()
        self.way, self.late = way, late

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        if not self.late:
            x = self.way(x)
        x = x + self.attend(self.norm1(x))
        if self.late:
            x = self.way(self.mlp(self.norm2(x)))
        return self.pool(x)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", WAYS)
def test_tokens_are_mixed_by_a_matrix(name: str, late: bool) -> None:
    model = seeded(Mixed(WAYS[name], late=late))
    images = np.random.default_rng(1).normal(size=(3, *IMAGE.shape[1:])).astype(np.float32)
    same(model, capture(model, IMAGE), images)


class Scaled(Tiny):
    """Scores of each query, or of each key, times a number."""

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.factor = factor

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.merge((q @ k.mT * self.factor).softmax(-1) @ v)


@pytest.mark.parametrize("shape", [(1, 1, -1, 1), (1, 1, 1, -1)])
def test_scores_with_a_factor_of_their_query_or_key(shape: tuple[int, ...]) -> None:
    by_head = torch.linspace(0.5, 1, HEADS).view(1, -1, 1, 1)
    model = seeded(Scaled(torch.linspace(0.3, 0.9, TOKENS).view(shape) * by_head))
    images = np.random.default_rng(1).normal(size=(3, *IMAGE.shape[1:])).astype(np.float32)
    same(model, capture(model, IMAGE), images)


def test_factors_of_many_kinds_are_refused() -> None:
    factors = torch.arange(1.0, 1 + TOKENS * WIDTH).view(1, TOKENS, WIDTH)
    (problem,) = refusal(seeded(Mixed(lambda x: x * factors, late=True)))
    assert problem.what == "a constant factor must be the same for every token"
