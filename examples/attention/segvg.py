# SPDX-License-Identifier: Apache-2.0
"""SegVG: object queries, patches and words attend together, each kind through weights of its own.

Kang et al., "SegVG: Transferring Object Bounding Box to Segmentation for Visual Grounding", 2024.

    Z_q,k,v = [LN_r(x_r) W_r^(q,k,v)] of r in (object, text, image)
    Y = softmax(Z_q Z_k.T / sqrt(d) + padding) Z_v;   x_r := x_r + Y_r W_r^out
    then a decoder whose queries are the object tokens;   box = MLP(first query)

The text is the same for every image: its embeddings are constants, and its last words are padding. The box
is given before its sigmoid. Masks from boxes are training alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, TOKENS, WIDTH, Mlp, Tokens, seeded

OBJECTS, TEXT, WORDS = 3, 6, 4
"""Object queries, places of the text, and how many of them are words."""
KINDS = (OBJECTS, TEXT, TOKENS)


def split(x: Tensor) -> Tensor:
    """Heads apart: [B, heads, T, d]."""
    return x.reshape(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2)


class Align(nn.Module):
    """A layer of triple alignment."""

    padding: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in KINDS)
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in KINDS)
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in KINDS)
        padding = torch.zeros(sum(KINDS), dtype=torch.bool)
        padding[OBJECTS + WORDS : OBJECTS + TEXT] = True
        self.register_buffer("padding", padding, persistent=False)

    def forward(self, kinds: list[Tensor]) -> list[Tensor]:
        parts = [qkv(norm(x)) for qkv, norm, x in zip(self.qkv, self.norms, kinds, strict=True)]
        q, k, v = (split(x) for x in torch.cat(parts, dim=1).chunk(3, dim=-1))
        scores = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).masked_fill(self.padding, -torch.inf)
        y = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2).split(KINDS, dim=1)
        return [x + out(part) for x, out, part in zip(kinds, self.out, y, strict=True)]


class Decoder(nn.Module):
    """Object tokens ask the patches."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Mlp()
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, vision: Tensor) -> Tensor:
        q, k, v = split(self.q(self.norm1(x))), split(self.k(vision)), split(self.v(vision))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class SegVG(nn.Module):
    """[B, 3, H, W] -> [B, 4]: the box's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = Tokens()
        self.objects = nn.Parameter(torch.zeros(1, OBJECTS, WIDTH))
        self.text = nn.Parameter(torch.zeros(1, TEXT, WIDTH))
        self.align, self.decoder = nn.ModuleList(Align() for _ in range(2)), Decoder()
        self.norm = nn.LayerNorm(WIDTH)
        self.box = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 4))

    def forward(self, images: Tensor) -> Tensor:
        count = len(images)
        kinds = [self.objects.expand(count, -1, -1), self.text.expand(count, -1, -1), self.vision(images)]
        for layer in self.align:
            kinds = layer(kinds)
        return self.box(self.decoder(kinds[0], self.norm(kinds[2]))[:, 0])


def model() -> nn.Module:
    """The system, small."""
    return seeded(SegVG())
