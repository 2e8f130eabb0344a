# SPDX-License-Identifier: Apache-2.0
"""Attention by windows in the spellings of models: the Graph is the model, its moves are gathers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frontend.refused import IMAGE, TOKENS, WIDTH, Tiny
from support.variants import HEADS, seeded
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from hlsgen.frontend.capture import capture
from hlsgen.frontend.rules.windowed import dense
from hlsgen.ir import evaluate
from hlsgen.ops import Gather, Matmul, Scores

WINDOWS, SIZE = 3, 2


class Windows(Tiny):
    """Windows of 1 x 2 tokens on a grid of 2 x 3, rolled by one row; masks differ from window to window."""

    index: Tensor
    mask: Tensor

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        random = torch.Generator().manual_seed(3)
        self.table = torch.nn.Parameter(torch.randn(3, HEADS, generator=random))
        self.register_buffer("index", torch.tensor([[1, 0], [2, 1]]))
        mask = torch.zeros(WINDOWS, SIZE, SIZE)
        mask[1, 0, 1] = mask[1, 1, 0] = -100.0
        self.register_buffer("mask", mask)

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        x = x + self.attend(self.norm1(x))
        return self.pool(x + self.mlp(self.norm2(x)))

    def attend(self, x: Tensor) -> Tensor:
        grid = x.reshape(1, 2, 3, WIDTH)
        if self.way == "padded":
            grid = pad(grid, (0, 0, 0, 0, 0, 1))
        rows = grid.shape[1]
        x = grid.roll((0, 1), (1, 2)).transpose(1, 2).reshape(-1, rows, WIDTH)
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        x = self.proj(self.product(q, k, v).transpose(1, 2).reshape(x.shape))
        x = x.reshape(1, 3, rows, WIDTH).transpose(1, 2).roll((0, -1), (1, 2))
        return x[:, :2].reshape(1, TOKENS, WIDTH)

    def product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.way == "padded":
            return scaled_dot_product_attention(q, k, v)
        bias = self.table[self.index.flatten()].view(SIZE, SIZE, HEADS).permute(2, 0, 1)
        if self.way == "operator":
            return scaled_dot_product_attention(q, k, v, attn_mask=bias[None] + self.mask[:, None])
        scores = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + bias[None]
        if self.way in ("by image", "written in place"):
            mask = self.mask
            if self.way == "written in place":
                mask = scores.new_zeros(WINDOWS, SIZE, SIZE)
                mask[1, 0, 1] = mask[1, 1, 0] = -100.0
            scores = scores.view(1, WINDOWS, HEADS, SIZE, SIZE) + mask[:, None][None]
            scores = scores.view(-1, HEADS, SIZE, SIZE)
        return scores.softmax(-1) @ v


@pytest.mark.parametrize("way", ["operator", "products", "by image", "written in place", "padded"])
def test_windows(way: str) -> None:
    model = seeded(Windows(way))
    images = torch.randn(2, *IMAGE.shape[1:], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = torch.cat([model(image[None]) for image in images]).numpy()
    graph = capture(model, images[:1])
    kinds = [type(node.op) for node in graph]
    assert kinds.count(Scores) == 1
    assert Gather in kinds
    assert Matmul not in kinds
    found = evaluate(graph, images.numpy())[graph.output].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_other_windows_are_hidden() -> None:
    bias = np.arange(2 * 3 * 2 * 5, dtype=float).reshape(6, 2, 5)  # three windows, two heads
    whole = dense(bias, 3)
    assert whole.shape == (2, 6, 15)
    for head in range(2):
        for window in range(3):
            own = whole[head, 2 * window : 2 * window + 2]
            np.testing.assert_array_equal(own[:, 5 * window : 5 * window + 5], bias[2 * window + head])
            assert np.isneginf(np.delete(own, range(5 * window, 5 * window + 5), 1)).all()
