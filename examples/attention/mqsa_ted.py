# SPDX-License-Identifier: Apache-2.0
"""MQSA-TED: causal attention whose queries are means of the last items, beside one of single items.

Zhu et al., "Multi-Query Self-Attention with Transition-Aware Embedding Distillation for Sequential
Recommendation", 2023.

    qbar_i = mean(x_(i-L+1), ..., x_i);   Q = LN(qbar) W_q,  K = X W_k,  V = X W_v,  causal softmax
    logits = alpha logits(stack with L = 1) + (1 - alpha) logits(stack with L)

Items come by number from a table in the paper; here they are patches. The distillation is training alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import (
    CLASSES,
    TOKENS,
    WIDTH,
    Masked,
    Mlp,
    Tokens,
    causal,
    seeded,
)

SPAN, ALPHA = 4, 0.4


class Averaged(Masked):
    """Causal attention with queries of the last `span` items."""

    window: Tensor

    def __init__(self, span: int) -> None:
        super().__init__(causal(TOKENS))
        near = causal(TOKENS).float().triu(1 - span)
        self.register_buffer("window", near / near.sum(1, keepdim=True), persistent=False)
        self.q, self.kv, self.norm = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.LayerNorm(WIDTH)
        del self.qkv

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.cat((self.q(self.norm(self.window @ x)), self.kv(x)), dim=-1)
        q, k, v = parts.reshape(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(self.weigh(q, k, v).transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    """Attention, then an MLP."""

    def __init__(self, span: int) -> None:
        super().__init__()
        self.attn, self.norm, self.mlp = Averaged(span), nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(self.norm(x))


class Stack(nn.Module):
    """Layers of one span; the last item is read."""

    def __init__(self, span: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Layer(span), Layer(span))
        self.norm, self.items = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.items(self.norm(self.layers(x)[:, -1]))


class MultiQuery(nn.Module):
    """Both stacks on the same items."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.single, self.multiple = Tokens(), Stack(1), Stack(SPAN)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images)
        return ALPHA * self.single(x) + (1 - ALPHA) * self.multiple(x)


def model() -> nn.Module:
    """The system, small."""
    return seeded(MultiQuery())
