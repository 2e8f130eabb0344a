# SPDX-License-Identifier: Apache-2.0
"""M3ViT-Tiny: the multi-task mixture-of-experts vision transformer of Edge-MoE, with seeded weights.

Images of 128 x 256, 129 tokens, width 192, 12 blocks; every other block has 16 experts of which each token
uses 2. Two tasks choose their routers; each has a linear head per patch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.digits.model import Attention, Block
from hlsgen.examples.vit.data import photographs
from hlsgen.examples.vit.model import initialise
from hlsgen.nn import MoE

HEIGHT, WIDTH, PATCH = 128, 256, 16
EXPERTS, CHOICES, HIDDEN = 16, 2, 384
CLASSES = (19, 1)
"""Results per patch: classes of a segmentation, a depth."""
QUEUES = (
    (0, 6, 0, 32, 0, 27, 15, 24, 22, 19, 0, 22, 11, 33, 32, 15),
    (0, 17, 0, 41, 1, 22, 16, 25, 2, 19, 0, 23, 16, 1, 51, 24),
)
"""Tokens of each expert, by task, that the routers aim at: those of a layer of the published model."""
NEVER, SPREAD = -12.0, 3.0
"""A router's mean logit for an expert that no token is to use, and the logits' deviation."""


class MoEBlock(nn.Module):
    """Pre-norm transformer block with a mixture of experts."""

    def __init__(self, width: int, heads: int, tasks: int) -> None:
        """`tasks` routers."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.moe = MoE(width, HIDDEN, EXPERTS, CHOICES, tasks=tasks, router_bias=True)

    def forward(self, x: Tensor, task: Tensor | int) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = x + self.attn(self.norm1(x))
        return x + self.moe(self.norm2(x), task)


class M3ViT(nn.Module):
    """Images [B, 3, 128, 256] and a task -> the tasks' results per patch, [B, 128, classes] each."""

    def __init__(self, width: int = 192, depth: int = 12, heads: int = 3) -> None:
        """Blocks alternate: an MLP four times as wide as the tokens, then experts."""
        super().__init__()
        tokens = 1 + (HEIGHT // PATCH) * (WIDTH // PATCH)
        self.patch_embed = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(
            MoEBlock(width, heads, len(CLASSES)) if index % 2 else Block(width, heads, 4 * width, 0.0)
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, classes) for classes in CLASSES)

    def tokens(self, images: Tensor) -> Tensor:
        """The embedded class token and patches."""
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed

    def forward(self, images: Tensor, task: Tensor | int) -> tuple[Tensor, ...]:
        """Both results; only the task's is of use, for the task chose the experts."""
        x = self.tokens(images)
        for block in self.blocks:
            x = block(x, task) if isinstance(block, MoEBlock) else block(x)
        x = self.norm(x)[:, 1:]
        return tuple(head(x) for head in self.heads)


def _experts(model: M3ViT, queues: tuple[tuple[int, ...], ...], seed: int = 7) -> M3ViT:
    """Seeded experts, and routers that spread the tokens about as `queues` do."""
    random = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(photographs(2, seed=5, size=(HEIGHT, WIDTH)))
    with torch.no_grad():
        for block in model.blocks:
            if isinstance(block, MoEBlock):
                for parameter in block.moe.parameters():
                    noise = torch.randn(parameter.shape, generator=random)
                    scale = parameter.shape[-1] ** -0.5 if parameter.dim() == 3 else 0.2
                    parameter.copy_(scale * noise)
        for task, counts in enumerate(queues):
            wanted = torch.tensor(counts, dtype=torch.float32)
            _aim(model, images, task, wanted, random)
    return model


def _aim(model: M3ViT, images: Tensor, task: int, queue: Tensor, random: torch.Generator) -> None:
    """Give each router's logits the deviation `SPREAD` and means that follow the queues' logarithms."""
    x = model.tokens(images)
    for block in model.blocks:
        if isinstance(block, MoEBlock):
            mean = (queue / queue.mean()).clamp(min=0.05).log()
            mean = torch.where(queue > 0, mean, NEVER)[torch.randperm(EXPERTS, generator=random)]
            h = block.norm2(x + block.attn(block.norm1(x)))
            bias = block.moe.router_bias
            assert bias is not None  # MoEBlock asks for it
            bias[task] = 0.0
            found = block.moe.logits(h, task).flatten(0, -2)
            gain = SPREAD / found.std(0)
            block.moe.router_weight[task] *= gain[:, None]
            bias[task] = mean - gain * found.mean(0)
            x = block(x, task)
        else:
            x = block(x)


def _seeded(queues: tuple[tuple[int, ...], ...]) -> M3ViT:
    model = M3ViT()
    initialise(model)
    return _experts(model, queues)


def m3vit_tiny() -> nn.Module:
    """Routing as uneven as that of the trained model: 12 or 13 of 16 experts are used."""
    return _seeded(QUEUES)


def m3vit_tiny_even() -> nn.Module:
    """Every expert is used."""
    return _seeded(((1,) * EXPERTS,) * len(CLASSES))
