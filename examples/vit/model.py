# SPDX-License-Identifier: Apache-2.0
"""The models: plain PyTorch, nothing of hlsgen.

Published sizes with seeded random weights. They classify nothing, so their accuracy is never measured: they
show that a model of this size compiles, how fast, and what quantization does to tensors that look like a
trained model's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hlsgen.examples.digits.model import Block

LOGIT_DEVIATION = 2.0
"""Aim for the standard deviation of attention logits within a row."""


class VisionTransformer(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes]; patch tokens behind a class token.

    With `distilled` a distillation token and a second head follow, and the logits are the mean of both heads.
    """

    def __init__(
        self,
        *,
        image: int = 224,
        patch: int = 16,
        channels: int = 3,
        width: int,
        depth: int = 12,
        heads: int,
        classes: int = 1000,
        distilled: bool = False,
    ) -> None:
        """`image` and `patch` are edge lengths in pixels; the MLP is four times as wide as the tokens."""
        super().__init__()
        prefix = 2 if distilled else 1
        self.patch_embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width)) if distilled else None
        self.pos_embed = nn.Parameter(torch.zeros(1, prefix + (image // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, 4 * width, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self.head_dist = nn.Linear(width, classes) if distilled else None

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes]."""
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        prefix = [self.cls_token] if self.dist_token is None else [self.cls_token, self.dist_token]
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in prefix), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.head_dist is None:
            return self.head(x[:, 0])
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


def initialise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Seeded random parameters under which activations look like those of a trained model; in eval mode.

    The usual start of training, weights of standard deviation 0.02 and zero biases, would show nothing:
    attention is then the mean over all tokens, branches add next to nothing to the residual stream, and all
    logits are alike. Here a linear layer keeps the size of its input (deviation 1 / sqrt(fan-in)), and:

    - queries and keys are enlarged: attention logits spread, few keys take most of a row's weight;
    - every result channel has a size of its own (log-normal): there are outlier channels, as in trained
      models, and tensors have heavier tails than a normal distribution;
    - a branch adds about half the deviation of the embedding: the stream grows to some times its first size;
    - the MLP's first bias is negative: most of what GELU gives is near zero;
    - gammas and betas are not 1 and 0.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if "norm" in name:
                parameter.copy_((0.3 * noise).exp() if name.endswith("weight") else 0.1 * noise)
            elif name.endswith(("token", "pos_embed", "position_embeddings")):
                parameter.copy_(0.5 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise - (0.7 if "fc1" in name else 0.0))
            else:
                sizes = _sizes(name, torch.randn(len(parameter), generator=random))
                sizes = sizes / math.sqrt(parameter[0].numel())
                parameter.copy_(noise * sizes.reshape(-1, *[1] * (parameter.dim() - 1)))
    return model.eval()


def _sizes(name: str, noise: Tensor) -> Tensor:
    """The sizes of a weight's result channels; names are those of this file or of `transformers`."""
    if any(part in name for part in ("attn.proj", "o_proj", "fc2")):
        return 0.6 * (0.6 * noise).exp()
    sizes = (0.35 * noise).exp()
    if "qkv" in name:
        # A logit is the product of a query and a key, divided by the root of their length.
        sizes[: 2 * len(sizes) // 3] *= LOGIT_DEVIATION**0.5
    elif "q_proj" in name or "k_proj" in name:
        sizes *= LOGIT_DEVIATION**0.5
    elif "head" in name or "classifier" in name:
        sizes *= 2.0
    return sizes


def deit_tiny() -> nn.Module:
    """DeiT-Tiny: 12 blocks, width 192, 3 heads; images [B, 3, 224, 224]."""
    return initialise(VisionTransformer(width=192, heads=3))


def deit_small() -> nn.Module:
    """DeiT-Small: 12 blocks, width 384, 6 heads; images [B, 3, 224, 224]."""
    return initialise(VisionTransformer(width=384, heads=6))


def vit_base() -> nn.Module:
    """ViT-B/16: 12 blocks, width 768, 12 heads; images [B, 3, 224, 224]."""
    return initialise(VisionTransformer(width=768, heads=12))


def deit_tiny_distilled() -> nn.Module:
    """DeiT-Tiny with a distillation token: 198 tokens, the mean of two heads."""
    return initialise(VisionTransformer(width=192, heads=3, distilled=True))
