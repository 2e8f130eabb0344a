# SPDX-License-Identifier: Apache-2.0
"""One block of attention whose contexts are made in any way, and its Graph, which must compute the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate

TOKENS, WIDTH, HEADS = 9, 12, 2
Attend = Callable[["Model", Tensor, Tensor, Tensor], Tensor]


class Model(nn.Module):
    """One block of attention; `way` makes contexts [1, H, T, d] of queries, keys and values."""

    seen: Tensor

    def __init__(self, way: Attend) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.way = way
        self.embed = nn.Conv2d(2, WIDTH, 4, 4)
        self.qkv, self.out, self.head = (
            nn.Linear(WIDTH, 3 * WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 5),
        )
        self.bias = nn.Parameter(torch.randn(HEADS, TOKENS, TOKENS))
        self.mix = nn.Linear(HEADS, HEADS)
        self.register_buffer("seen", torch.ones(TOKENS, TOKENS).tril() > 0)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        return q @ k.mT * (WIDTH // HEADS) ** -0.5

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image).flatten(2).mT
        q, k, v = self.qkv(x).reshape(1, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        return self.head(x + self.out(self.way(self, q, k, v).transpose(1, 2).flatten(2)))


def captured(way: Attend) -> Graph:
    model = Model(way).eval()
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, 12, 12)).astype(np.float32))
    graph = capture(model, image)
    with torch.no_grad():
        wanted = model.double()(image.double()).numpy()
    np.testing.assert_allclose(evaluate(graph, image.numpy())[graph.output], wanted, rtol=0, atol=1e-5)
    return graph
