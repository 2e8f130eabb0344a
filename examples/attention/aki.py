# SPDX-License-Identifier: Apache-2.0
"""AKI: modality-mutual attention, by which image tokens see the question behind them.

Wang et al., "Seeing is Understanding: Unlocking Causal Attention into Modality-Mutual Attention for
Multimodal LLMs", 2025.

    X = [image; question];   i sees j where  j <= i  or  (i in image and j in question)

The question is the same for every image here: its embeddings are constants. A question that comes with the
image waits for tables of embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, TOKENS, WIDTH, Block, Masked, causal, seeded
from hlsgen.examples.attention.host import Tokens as Image

QUESTION = 6


def mutual(image: int, question: int) -> Tensor:
    """The mask of image tokens with a question behind them."""
    mask = causal(image + question)
    mask[:image, image:] = True
    return mask


class Aki(nn.Module):
    """The answer's first word, of the last token."""

    def __init__(self) -> None:
        super().__init__()
        mask = mutual(TOKENS, QUESTION)
        self.vision, self.question = Image(), nn.Parameter(torch.zeros(1, QUESTION, WIDTH))
        self.layers = nn.Sequential(Block(Masked(mask)), Block(Masked(mask)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        question = self.question.expand(len(images), -1, -1)
        x = self.layers(torch.cat((self.vision(images), question), dim=1))
        return self.head(self.norm(x[:, -1]))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Aki())
