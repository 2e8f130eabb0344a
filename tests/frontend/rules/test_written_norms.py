# SPDX-License-Identifier: Apache-2.0
"""Layer norms that are written out, in many spellings; RMS norms are in `test_rms_norm`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.variants import WIDTH, Tiny, same, seeded
from torch import Tensor

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.ops import LayerNorm, RMSNorm, Transpose

EPS = 1e-2
Norm = Callable[[Tensor], Tensor]


def mean(x: Tensor, axis: int = -1) -> Tensor:
    return x.mean(axis, keepdim=True)


def by_pair(x: Tensor) -> Tensor:
    variance, middle = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - middle) * torch.rsqrt(variance + EPS)


def deviation(x: Tensor) -> Tensor:
    d = x - mean(x)
    return d / (d.pow(2).mean(-1, keepdim=True) + EPS).sqrt()


def channels_first(x: Tensor) -> Tensor:
    x = x.transpose(1, 2)
    d = x - mean(x, 1)
    return (d * (d.square().mean(1, keepdim=True) + EPS) ** -0.5).transpose(1, 2)


LAYER: dict[str, Norm] = {
    "variance": lambda x: (x - mean(x)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + EPS),
    "gain inside": lambda x: (
        torch.arange(1.0, 1 + WIDTH) * (x - mean(x)) / (EPS + x.var(-1, False, keepdim=True)) ** 0.5
    ),
    "pair": by_pair,
    "deviation": deviation,
    "squared difference": lambda x: (x - mean(x)) / torch.sqrt(((x - mean(x)) ** 2).mean(2, True) + EPS),
    "moments": lambda x: (x - mean(x)) * torch.rsqrt(mean(x * x) - mean(x) ** 2 + EPS),
    "sums": lambda x: (
        (x - x.sum(-1, keepdim=True) / WIDTH)
        * (1 / torch.sqrt((x - x.sum(-1, keepdim=True) / WIDTH).square().sum(-1, keepdim=True) / WIDTH + EPS))
    ),
    "unbiased": lambda x: (x - mean(x)) / torch.sqrt(x.var(-1, keepdim=True) + EPS),
    "squared deviation": lambda x: (
        (x - mean(x)) / torch.sqrt(x.std(-1, correction=0, keepdim=True) ** 2 + EPS)
    ),
    "channels first": channels_first,
    "cast": lambda x: (x.type_as(x) - mean(x.type_as(x))) * torch.rsqrt(x.var(-1, False, True) + EPS),
}
TOKENS: dict[str, Norm] = {
    "layer": lambda x: (x - mean(x, 1)) * torch.rsqrt(x.var(1, keepdim=True, unbiased=False) + EPS),
    "rms": lambda x: x * torch.rsqrt((x * x).mean(1, keepdim=True) + EPS),
}


class Norms(Tiny):
    """An MLP behind each of the norms."""

    def __init__(self, *norms: Norm) -> None:
        super().__init__()
        self.norms = norms

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        for norm in self.norms:
            x = x + self.mlp(norm(x))
        return self.head(x.mean(1))


def pictures() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(3, 2, 4, 6)).astype(np.float32)


def test_each_spelling_is_a_layer_norm() -> None:
    model = seeded(Norms(*LAYER.values()))
    graph = capture(model, pictures()[:1])
    same(model, graph, pictures())
    norms = [node.op for node in graph if isinstance(node.op, LayerNorm)]
    assert len(norms) == len(LAYER)
    eps = dict(zip(LAYER, (norm.eps for norm in norms), strict=True))
    assert eps.pop("unbiased") == pytest.approx(EPS * (WIDTH - 1) / WIDTH)
    assert set(eps.values()) == {EPS}
    assert not any(isinstance(node.op, Transpose) for node in graph)


def test_a_norm_over_the_tokens_is_one_of_the_transpose() -> None:
    model = seeded(Norms(*TOKENS.values()))
    graph = capture(model, pictures()[:1])
    same(model, graph, pictures())
    assert sum(isinstance(node.op, LayerNorm | RMSNorm) for node in graph) == 2


def test_a_norm_of_a_constant_is_a_constant() -> None:
    class Fixed(Tiny):
        def embed(self, image: Tensor) -> Tensor:
            return super().embed(image) + deviation(self.pos)

    model = seeded(Fixed())
    graph = capture(model, pictures()[:1])
    same(model, graph, pictures())
    assert "layer_norm" not in graph.nodes


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x - mean(x)) / (x.std(-1, keepdim=True) + EPS),
        lambda x: (x - mean(x)) * torch.rsqrt(x.var(1, keepdim=True) + EPS),
        lambda x: (x - mean(x, 1)) * torch.rsqrt(x.var(-1, keepdim=True) + EPS),
        lambda x: x * torch.rsqrt(x.var(-1, keepdim=True) + EPS),
        lambda x: (x - mean(x)) * torch.rsqrt(mean(x * x) + EPS),
        lambda x: (x - mean(x)) * torch.rsqrt(mean(x * x) - mean(x) + EPS),
        lambda x: (mean(x) - x) * torch.rsqrt(x.var(1, keepdim=True) + EPS),
        lambda x: torch.sub(x, mean(x), alpha=2) * torch.rsqrt(x.var(-1, keepdim=True) + EPS),
        lambda x: (x - mean(x)) * torch.rsqrt(x.square().var(-1, keepdim=True) + EPS),
    ],
    ids=["std", "tokens", "mean", "plain", "moment", "root", "turned", "alpha", "square"],
)
def test_what_only_looks_like_one_is_refused(function: Norm) -> None:
    with pytest.raises(UnsupportedModel):
        capture(seeded(Norms(function)), torch.zeros(1, 2, 4, 6))
