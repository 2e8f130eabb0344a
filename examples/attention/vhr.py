# SPDX-License-Identifier: Apache-2.0
"""Vision-aware Head Reinforcement: heads that react to the image speak louder, in a causal model.

He et al., "Cracking the Code of Hallucination in LVLMs with Vision-aware Head Divergence", 2024.

    X = [image; prompt];   o_h := alpha_h o_h,  alpha_h > 1 for the heads that the image moves most;   causal

Which heads these are is found offline. Gains become a part of the projection behind, and cost nothing.
The prompt is the same for every image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.aki import QUESTION, Aki
from hlsgen.examples.attention.host import HEADS, TOKENS, Block, Masked, causal, seeded

ALPHA = 2.0


class Reinforced(Masked):
    """Causal attention with gains of heads."""

    gain: Tensor

    def __init__(self, heads: tuple[int, ...]) -> None:
        super().__init__(causal(TOKENS + QUESTION))
        gain = torch.ones(HEADS, 1, 1)
        gain[list(heads)] = ALPHA
        self.register_buffer("gain", gain, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.weigh(*self.split(x)) * self.gain
        return self.proj(y.transpose(1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small: other heads in each layer."""
    found = Aki()
    found.layers = nn.Sequential(Block(Reinforced((0, 2))), Block(Reinforced((3,))))
    return seeded(found)
