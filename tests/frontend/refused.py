# SPDX-License-Identifier: Apache-2.0
"""Models with one thing each that hlsgen refuses; a comment marks the line that messages must name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.frontend.capture import capture

WIDTH, HEADS, TOKENS = 12, 3, 6
IMAGE = torch.zeros(1, 2, 4, 6)


def at(marker: str) -> str:
    """Where a marked line of this file is, as messages show it."""
    lines = Path(__file__).read_text().splitlines()
    (number,) = [i for i, text in enumerate(lines, 1) if text.endswith(f"# {marker}")]
    file = Path(__file__)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else Path(file.name)
    return f"{shown}:{number}"


def refusal(model: Any, example: Any = IMAGE) -> tuple[Problem, ...]:
    with pytest.raises(UnsupportedModel) as caught:
        capture(model, example)
    assert caught.value.exit_code == 3
    return caught.value.problems


class Tiny(nn.Module):
    def __init__(self, patch: nn.Module | None = None) -> None:
        super().__init__()
        self.patch = patch or nn.Conv2d(2, WIDTH, 2, stride=2)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 20), nn.Linear(20, WIDTH)
        self.head = nn.Linear(WIDTH, 5)

    def embed(self, image: Tensor) -> Tensor:
        return self.patch(image).flatten(2).transpose(1, 2)  # patch

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # qkv

    def merge(self, x: Tensor) -> Tensor:
        return self.proj(x.transpose(1, 2).flatten(2))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.merge(scaled_dot_product_attention(q, k, v))

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x)))

    def pool(self, x: Tensor) -> Any:
        return self.head(self.norm(x.mean(1)))

    def forward(self, image: Tensor) -> Any:
        x = self.embed(image)
        x = x + self.attend(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.pool(x)


class Sums(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumprod(x, -1)  # running


class TwoSums(Tiny):
    """The same module at two places is one problem with two places; a later problem still shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Sums(), Sums()

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(self.second(self.first(self.up(x))))

    def pool(self, x: Tensor) -> Tensor:
        return super().pool(x).softmax(-1)[:, 1:]  # classes


class JoinedLayers(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        return torch.cat([self.proj(x)[..., :6], self.up(x)[..., :6]], dim=-1)  # joined


class Masked(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.merge(scaled_dot_product_attention(q, k, v, attn_mask=q @ k.mT))  # masked


class Dropping(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.merge(scaled_dot_product_attention(q, k, v, dropout_p=0.5))  # dropping


class Biased(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        logits = torch.where(torch.arange(TOKENS) < 2, q @ k.mT, 0.5)
        return self.merge(logits.softmax(-1) @ v)  # biased


class ForgottenTranspose(Tiny):
    def merge(self, x: Tensor) -> Tensor:
        return self.proj(x.reshape(1, TOKENS, WIDTH))  # forgotten


class Mingled(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        x = torch.cat([x[:, 1:, :6], x[:, :-1, 6:]], -1)
        return self.head(self.norm(x.mean(1)))  # mingled


class Gated(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        a, b = self.qkv(x)[..., : 2 * WIDTH].chunk(2, -1)
        return self.proj(a * b)  # gated


class Half(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).half().float()  # half


class Constant(Tiny):
    def pool(self, x: Tensor) -> Tensor:  # noqa: ARG002 - the point
        return self.head.weight.sum(1)[None]  # ignores


class Branch(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # branch
            x = x * 2
        return super().pool(x)


class Cond(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        y = super().pool(x)
        return torch.cond(y.sum() > 0, lambda y: y * 2, lambda y: y * 3, (y,))


class Item(Tiny):
    def pool(self, x: Tensor) -> Tensor:
        return super().pool(x) * x[0, 0, 0].item()  # item


class Fails(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        raise ValueError(f"no image {list(image.shape)}")  # fails


class Counting(Tiny):
    def __init__(self) -> None:
        super().__init__()
        self.count = nn.Buffer(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        self.count.add_(1)  # counting
        return super().forward(image)


class Overwriting(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        before = x.reshape(1, TOKENS, WIDTH)  # or a copy
        x.mul_(2)  # overwriting
        return self.head(self.norm((x + self.proj(self.norm1(before))).mean(1)))


class PerToken(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        y = self.mlp(self.norm1(x)) * torch.arange(1.0, 1 + TOKENS * WIDTH).view(TOKENS, WIDTH)
        return self.pool(x + y)  # per token sum


class Pair(nn.Module):
    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        return image + other
