# SPDX-License-Identifier: Apache-2.0
"""One small vision transformer in many spellings, and whether a Graph computes the same as a model."""

from __future__ import annotations

import copy
import functools
import math

import numpy as np
import torch
import torch.nn.functional
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate

WIDTH, HEADS, TOKENS = 12, 3, 6
HEAD = WIDTH // HEADS


class Tiny(nn.Module):
    """A 4x6 image of 2 channels, 6 patches; subclasses change one thing each."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(2, WIDTH, 2, stride=2)
        self.cls = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos = nn.Parameter(torch.zeros(1, 1 + TOKENS, WIDTH))
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 20), nn.Linear(20, WIDTH)
        self.head = nn.Linear(WIDTH, 5)

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).reshape(1, x.shape[1], 3, HEADS, HEAD).permute(2, 0, 3, 1, 4).unbind(0)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(torch.nn.functional.gelu(self.up(x)))

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x)[:, 0])

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        x = x + self.attend(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.pool(x)


class Multihead(Tiny):
    def __init__(self, *, batch_first: bool, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)
        self.need_weights = need_weights

    def attend(self, x: Tensor) -> Tensor:
        if not self.attention.batch_first:
            x = x.transpose(0, 1)
        x, _ = self.attention(x, x, x, need_weights=self.need_weights)
        return x if self.attention.batch_first else x.transpose(0, 1)


class Encoder(Tiny):
    def __init__(self, activation: str) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 20, dropout=0.3, activation=activation, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.pool(self.encoder(self.embed(image)))


class Registers(Tiny):
    """Position on the patches before the class token and two registers are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.registers = nn.Parameter(torch.zeros(1, 2, WIDTH))

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2) + self.pos[:, 1:]
        x = torch.cat([self.cls + self.pos[:, :1], x], dim=1)
        return torch.cat([x[:, :1], self.registers, x[:, 1:]], dim=1)

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x)[:, 3:].mean(1))


class LinearPatches(Tiny):
    """Patches by reshape and permute, elements ordered (y, x, c); positions from a table."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, WIDTH)
        self.table = nn.Embedding(TOKENS, WIDTH)

    def embed(self, image: Tensor) -> Tensor:
        x = image.reshape(1, 2, 2, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).reshape(1, TOKENS, 8)
        return self.project(x) + self.table(torch.arange(TOKENS))[None]

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x.mean(dim=1)))


class NormThenMean(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x).sum(1) / (1 + TOKENS))


class PoolLayer(Tiny):
    def __init__(self) -> None:
        super().__init__()
        self.average = nn.AdaptiveAvgPool1d(1)

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.average(self.norm(x).transpose(1, 2)).flatten(1))


class HeadFirst(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x))[:, 0]


class InPlace(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        return self.down(torch.relu_(self.up(x)))

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        x = self.attend(self.norm1(x)) + x
        x += self.mlp(self.norm2(x))
        return self.pool(x.clone())


class HandScaledQuery(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = torch.softmax((q * HEAD**-0.25) @ (k * HEAD**-0.25).mT, dim=-1)
        return self.proj((weights @ v).permute(0, 2, 1, 3).flatten(2))


class HandDivided(Tiny):
    """Chunks instead of a permutation, the scale by division, a three-dimensional product, a mask."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (part[0].unflatten(1, (HEADS, HEAD)).transpose(0, 1) for part in self.qkv(x).chunk(3, -1))
        logits = torch.bmm(q, k.permute(0, 2, 1)) / math.sqrt(HEAD)
        hidden = torch.arange(logits.shape[-1]) >= 1 + TOKENS
        logits = logits.masked_fill(hidden, float("-inf"))
        context = nn.functional.dropout(logits.softmax(-1), 0.2, training=False) @ v
        return self.proj(context.transpose(0, 1).reshape(1, -1, WIDTH))


class Interleaved(Tiny):
    """Heads outside, then channels, then q, k, v: columns of the fused layer in another order."""

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).view(1, -1, HEADS, HEAD, 3).permute(4, 0, 2, 1, 3).unbind()


class MultiQuery(Tiny):
    """One key and value head for all query heads, an own scale and a mask that hides nothing."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[..., : WIDTH + 2 * HEAD].split([WIDTH, HEAD, HEAD], dim=-1)
        q = q.unflatten(-1, (HEADS, HEAD)).transpose(1, 2)
        mask = torch.ones(x.shape[1], dtype=torch.bool)[None, None, None, :].expand(1, 1, x.shape[1], -1)
        context = scaled_dot_product_attention(
            q, k[:, None], v[:, None], attn_mask=mask, scale=0.7, enable_gqa=True
        )
        return self.proj(context.transpose(1, 2).flatten(2))


class ContiguousView(Tiny):
    """`view` where only `contiguous` makes it possible."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        context = scaled_dot_product_attention(q, k, v).transpose(1, 2).contiguous()
        return self.proj(context.view(1, -1, WIDTH))


class TableByIndex(Tiny):
    """Positions from a table; the index is written in place, part by part."""

    def embed(self, image: Tensor) -> Tensor:
        index = torch.zeros(1 + TOKENS, dtype=torch.int64)
        rows = index[1:].view(2, 3)
        rows[1] += 2
        rows *= 3
        rows += torch.arange(3)
        rows[0, 2].fill_(6)
        index[0] = 5
        x = torch.cat([self.cls, self.patch(image).flatten(2).transpose(1, 2)], 1)
        return x + self.pos[:, index % (1 + TOKENS)]


class LayerScale(Tiny):
    """Factors after branches, a norm with its own affine part, a scaled embedding, matrices of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(2, WIDTH, 2, stride=2, bias=False)
        self.norm2 = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.gain, self.shift = nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(torch.zeros(WIDTH))
        self.matrix = nn.Parameter(torch.zeros(20, WIDTH))

    def embed(self, image: Tensor) -> Tensor:
        return super().embed(image) * math.sqrt(WIDTH)

    def mlp(self, x: Tensor) -> Tensor:
        hidden = torch.nn.functional.gelu(self.up(x * self.gain + self.shift), approximate="tanh")
        return (hidden @ self.matrix + self.shift) * self.gain - self.shift


class NoConstants(Tiny):
    """A convolution without bias, no position, no class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(2, WIDTH, 2, stride=2, bias=False)

    def embed(self, image: Tensor) -> Tensor:
        return self.patch(image).flatten(2).transpose(1, 2)

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(torch.mean(x, 1, keepdim=True))).squeeze(1)


class SeveralHeads(Tiny):
    """A head for each of three tokens; the logits are a weighted mean."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.third = nn.Linear(WIDTH, 5), nn.Linear(WIDTH, 5, bias=False)

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        both = (self.head(x[:, 0]) + self.second(x[:, 1])) / 2
        return (both + 3 * self.third(x[:, 2])) * 0.25


VARIANTS = {
    "sdpa": Tiny,
    "multihead": lambda: Multihead(batch_first=True, need_weights=False),
    "multihead_weights": lambda: Multihead(batch_first=True, need_weights=True),
    "multihead_tokens_first": lambda: Multihead(batch_first=False, need_weights=False),
    "multihead_tokens_first_weights": lambda: Multihead(batch_first=False, need_weights=True),
    "encoder_gelu": lambda: Encoder("gelu"),
    "encoder_relu": lambda: Encoder("relu"),
    "registers": Registers,
    "linear_patches": LinearPatches,
    "norm_then_mean": NormThenMean,
    "pool_layer": PoolLayer,
    "head_first": HeadFirst,
    "in_place": InPlace,
    "hand_scaled_query": HandScaledQuery,
    "hand_divided": HandDivided,
    "interleaved": Interleaved,
    "multi_query": MultiQuery,
    "contiguous_view": ContiguousView,
    "table_by_index": TableByIndex,
    "layer_scale": LayerScale,
    "no_constants": NoConstants,
}


@functools.cache
def captured(name: str) -> tuple[nn.Module, Graph]:
    model = seeded((VARIANTS | {"several_heads": SeveralHeads})[name]())
    return model, capture(model, torch.zeros(1, 2, 4, 6))


def seeded(model: nn.Module) -> nn.Module:
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            fan = parameter[0].numel() if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=random) / fan**0.5)
    return model.eval()


def same(model: nn.Module, graph: Graph, images: np.ndarray) -> None:
    """The graph in float64 equals the model in float64 up to float32 folding of its weights."""
    found = evaluate(graph, images)[graph.output][:, 0]
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        wanted = np.concatenate([double(torch.from_numpy(x[None]).double()).numpy() for x in images])
    assert found.shape == wanted.shape
    assert wanted.std(0).min() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())
