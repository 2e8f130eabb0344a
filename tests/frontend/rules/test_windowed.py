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
from hlsgen.frontend.rules.terms import Refusal, Term, Value
from hlsgen.frontend.rules.windowed import cut, picks
from hlsgen.ir import Op, Source, TensorType, evaluate
from hlsgen.ops import Gather, Linear, Matmul, Scores

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
    """Two windows of heads 0 and 1, of two queries and three keys; the second window comes first."""
    query, key = _rows(4, 2, order=(2, 3, 0, 1)), _rows(6, 3, order=(3, 4, 5, 0, 1, 2))
    found = cut(query, key)
    assert found is not None
    assert found.order.tolist() == [[0, 1], [2, 3]]
    assert _ids(found.query)[0, :, 0].tolist() == [8, 12, 0, 4]
    term = _term(Scores(heads=2, scale=1.0), (2, 4, 6))
    scores = found.scores(term)
    assert scores.shape == (2, 2, 2, 3)
    chosen = picks(scores)
    assert chosen is not None
    bias = torch.arange(24.0).reshape(4, 2, 3)
    whole = chosen.spread(bias, -np.inf)
    for index, (window, head) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        own = whole[head, 2 * window : 2 * window + 2]
        np.testing.assert_array_equal(own[:, 3 * window : 3 * window + 3], bias[index])
        assert np.isneginf(np.delete(own, range(3 * window, 3 * window + 3), 1)).all()


def test_a_key_of_several_windows_is_one_row() -> None:
    """Each query has two neighbours; keys are the tokens in their own order."""
    key = _rows(4, 2, order=(0, 1, 0, 1, 2, 3, 1, 3))
    found = cut(_rows(4, 1, order=(0, 1, 2, 3)), key)
    assert found is not None
    assert found.places[:, 0].tolist() == [[0, 1], [0, 1], [2, 3], [1, 3]]
    assert _ids(found.key)[:, :, 0].tolist() == [[0, 4, 8, 12], [2, 6, 10, 14]]


def test_what_is_no_window() -> None:
    everywhere = _rows(4, 4, order=(0, 1, 2, 3))
    assert cut(everywhere, everywhere) is None
    uneven = Value(everywhere.term, torch.tensor([0, 4, 8, 0]).reshape(1, 4, 1, 1))
    with pytest.raises(Refusal, match="different numbers of heads"):
        cut(uneven, uneven)


def _ids(x: Value | Tensor) -> Tensor:
    assert isinstance(x, Value)
    return x.ids


def _term(op: Op, shape: tuple[int, ...]) -> Term:
    return Term(op, (), "term", Source(), TensorType(shape), 0)


def _rows(tokens: int, size: int, order: tuple[int, ...]) -> Value:
    """Windows of so many tokens each, in an order, and two heads of two channels: [n, 2, size, 2]."""
    rows = torch.tensor(order).reshape(-1, size)
    ids = rows[:, None, :, None] * 4 + torch.arange(4).reshape(2, 1, 2)
    return Value(_term(Linear(weight=np.eye(4), bias=np.zeros(4)), (tokens, 4)), ids)
