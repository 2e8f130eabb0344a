# SPDX-License-Identifier: Apache-2.0
"""OAT: an object-level attention transformer, which tells the order in which eyes visit objects.

Fang et al., "OAT: Object-Level Attention Transformer for Gaze Scanpath Prediction", 2024.

    E = encoder(objects + positions);   H = decoder(history): causal self-attention, then attention to E
    p(next object = i | history) = softmax_i(H_t W E_i)                        (the logits are given here)

Patches are the objects. The history comes with the image in the published decoder, step by step; here it is
the same for every image, and its steps are computed at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, WIDTH, Block, Masked, Mlp, Tokens, causal, seeded

STEPS = 5


class Decoder(nn.Module):
    """A layer of the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.own, self.mlp = Masked(causal(STEPS)), Mlp()
        self.q, self.k, self.v, self.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def heads(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2)

    def forward(self, x: Tensor, objects: Tensor) -> Tensor:
        x = x + self.own(self.norm1(x))
        q, k, v = self.heads(self.q(self.norm2(x))), self.heads(self.k(objects)), self.heads(self.v(objects))
        weights = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(dim=-1)
        x = x + self.proj((weights @ v).transpose(1, 2).reshape(x.shape))
        return x + self.mlp(self.norm3(x))


class Oat(nn.Module):
    """[B, 3, H, W] -> [B, steps, objects]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encoder, self.norm = Tokens(), Block(), nn.LayerNorm(WIDTH)
        self.history = nn.Parameter(torch.zeros(1, STEPS, WIDTH))
        self.decoder, self.last = nn.ModuleList(Decoder() for _ in range(2)), nn.LayerNorm(WIDTH)
        self.score, self.object = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        objects = self.norm(self.encoder(self.embed(images)))
        x = self.history.expand(len(images), -1, -1)
        for layer in self.decoder:
            x = layer(x, objects)
        return self.score(self.last(x)) @ self.object(objects).transpose(-2, -1) * WIDTH**-0.5


def model() -> nn.Module:
    """The system, small."""
    return seeded(Oat())
