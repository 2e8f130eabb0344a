# SPDX-License-Identifier: Apache-2.0
"""EE-MLLM: text sees image and text; image tokens see nothing, and pass only through each layer's weights.

Ma et al., "EE-MLLM: A Data-Efficient and Compute-Efficient Multimodal Large Language Model", 2024.

    T := T + softmax(Q_T [K_V; K_T].T / sqrt(d) + causal) [V_V; V_T] W_o,   T := T + MLP(LN(T))
    V := V + MLP(LN(V)),                                                    with the weights of the text

The text is a prompt that is the same for every image: its embeddings are constants.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, HEADS, TOKENS, WIDTH, Mlp, Tokens, causal, seeded

TEXT = 6


class Composite(nn.Module):
    """A layer: text queries, keys and values of all."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Mlp()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        seen = torch.cat((torch.ones(TEXT, TOKENS, dtype=torch.bool), causal(TEXT)), dim=1)
        self.register_buffer("mask", seen, persistent=False)

    def heads(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2)

    def forward(self, vision: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        seen, asks = self.norm1(torch.cat((vision, text), dim=1)), self.norm1(text)
        q, k, v = self.heads(self.q(asks)), self.heads(self.k(seen)), self.heads(self.v(seen))
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        text = text + self.o(y.transpose(1, 2).reshape(text.shape))
        return vision + self.mlp(self.norm2(vision)), text + self.mlp(self.norm2(text))


class EfficientMultimodal(nn.Module):
    """The answer's first word, of the last text token."""

    def __init__(self) -> None:
        super().__init__()
        self.vision, self.text = Tokens(), nn.Parameter(torch.zeros(1, TEXT, WIDTH))
        self.layers = nn.ModuleList(Composite() for _ in range(3))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        vision, text = self.vision(images), self.text.expand(len(images), -1, -1)
        for layer in self.layers:
            vision, text = layer(vision, text)
        return self.head(self.norm(text[:, -1]))


def model() -> nn.Module:
    """The system, small."""
    return seeded(EfficientMultimodal())
