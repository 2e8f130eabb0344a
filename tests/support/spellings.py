# SPDX-License-Identifier: Apache-2.0
"""Spellings that mean what the machine does, though they are written in another way."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.variants import HEAD, HEADS, TOKENS, WIDTH, Tiny

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "gelu_written": lambda x: 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0))),
    "gelu_halved_last": lambda x: x * (1.0 + torch.erf(x * 0.5**0.5)) / 2,
    "gelu_tanh_written": lambda x: (
        0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
    ),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": functional.silu,
    "silu_divided": lambda x: x / (1 + torch.exp(-x)),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu6": functional.relu6,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish_written": lambda x: x * functional.relu6(x + 3) / 6,
    "squared_relu": lambda x: functional.relu(x) ** 2,
    "star_relu": lambda x: 0.8944 * functional.relu(x).square() - 0.4472,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "elu": functional.elu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "where": lambda x: torch.where(x > 0.5, x, 0.1 * x),
    "clamp": lambda x: x.clamp(-0.5, 1.0),
    "unbounded": lambda x: functional.relu(x.clamp(torch.tensor(-math.inf), torch.tensor(math.inf))),
    "maximum": lambda x: torch.maximum(x, torch.tensor(0.25)),
    "softsign": functional.softsign,
    "selu": functional.selu,
    "inverse_root": lambda x: torch.rsqrt(x * x + 1.0) * x,
}


class Activated(Tiny):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(self.function(self.up(x)))


class Parallel(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        y = self.norm1(x)
        return self.pool(x + (self.attend(y) + self.mlp(y)))


class Scaled(Tiny):
    """LayerScale in three places, a factor on the stream, a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image) * 2.5
        x = x + self.gamma * self.attend(self.norm1(x) * self.gamma)
        x = 0.5 * (x - self.mlp(self.norm2(x)).mul(self.gamma))
        return self.pool(x)

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(functional.gelu(self.up(x)) * self.up.bias)


class Shapes(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        cls = self.cls.expand_as(x[:, :1])
        return functional.pad(torch.cat((cls, x), 1), (0, 0, 0, 0)) + self.pos

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).unflatten(2, (3, HEADS, HEAD)).permute(2, 0, 3, 1, 4).unbind(0)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        logits = torch.einsum("bhid,bhjd->bhij", q, k) * HEAD**-0.5
        y = torch.einsum("bhij,bhjd->bihd", logits.softmax(-1), v)
        return self.proj(y.reshape_as(x))


class Grid(Tiny):
    """Tokens as an image: BatchNorm, 1x1 convolutions, pooling over the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in range(2))
        self.point, self.line = nn.Conv2d(WIDTH, 20, 1), nn.Conv1d(20, WIDTH, 1)

    def embed(self, image: Tensor) -> Tensor:
        x = self.norms[0](self.patch(image))
        return x.flatten(2).transpose(1, 2) + self.pos[:, 1:]

    def mlp(self, x: Tensor) -> Tensor:
        y = x.transpose(1, 2).unflatten(2, (2, 3))
        y = self.line(functional.gelu(self.point(y)).flatten(2))
        return self.norms[1](y.unflatten(2, (2, 3))).flatten(2).transpose(1, 2)

    def pool(self, x: Tensor) -> Tensor:
        y = self.norm(x).transpose(1, 2).reshape(1, WIDTH, 2, 3)
        return self.head(functional.adaptive_avg_pool2d(y, 1).flatten(1))


class GridMean(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return self.patch(image).flatten(2).transpose(1, 2) + self.pos[:, 1:]

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x.mT.reshape(1, WIDTH, 2, 3).mean((-2, -1))))


class Normalised(Tiny):
    """An image normalisation with a mean and a deviation for each channel, as tensors made in forward."""

    def embed(self, image: Tensor) -> Tensor:
        mean, std = torch.tensor([0.4, 0.6])[:, None, None], torch.tensor([0.2, 0.3])[:, None, None]
        return super().embed((image - mean) / std)


class Frames(Tiny):
    """A patch convolution in three dimensions over one frame, twice, as Qwen2-VL has it."""

    def __init__(self) -> None:
        super().__init__()
        self.cube = nn.Conv3d(2, WIDTH, (2, 2, 2), stride=(2, 2, 2))

    def embed(self, image: Tensor) -> Tensor:
        x = image[:, :, None].repeat(1, 1, 2, 1, 1)
        return self.cube(x).flatten(2).mT + self.pos[:, 1:]


class Unfolded(Tiny):
    """Patches by unfold, each one a column, into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, WIDTH)

    def embed(self, image: Tensor) -> Tensor:
        return self.project(functional.unfold(image, 2, stride=2).mT) + self.pos[:, 1:]


class TwoLayers(Tiny):
    """Linear layers with nothing between them: behind the patches, in the MLP, behind the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Linear(WIDTH, WIDTH)
        self.low, self.high = nn.Linear(20, 3, bias=False), nn.Linear(3, WIDTH)

    def embed(self, image: Tensor) -> Tensor:
        return self.more(super().embed(image))

    def mlp(self, x: Tensor) -> Tensor:
        return self.high(self.low(functional.relu(self.up(x))))


class Joined(Tiny):
    """DINOv2's head on the class token and the mean, and a join of two MLPs."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(WIDTH, 9)
        self.down = nn.Linear(29, WIDTH)
        self.head = nn.Linear(2 * WIDTH, 5)

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(torch.cat((functional.gelu(self.up(x)), functional.relu(self.second(x))), -1))

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.head(torch.cat((x[:, 0], x[:, 1:].mean(1)), 1))


class NoProjection(Tiny):
    """Attention and an activation are added as they are; a norm in the branch."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        y = (q @ k.mT * HEAD**-0.5).softmax(-1) @ v
        return y.transpose(1, 2).flatten(2)

    def mlp(self, x: Tensor) -> Tensor:
        return self.norm(self.down(functional.gelu(self.up(x))))


class PerHead(Tiny):
    """A matrix for each head behind the attention, by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Parameter(torch.zeros(HEADS, HEAD, WIDTH))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        y = functional.scaled_dot_product_attention(q, k, v)
        return torch.einsum("bhtd,hdw->btw", y, self.heads)


class Folded(Tiny):
    """Constants by operators of all kinds, in place too."""

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        grid = self.pos[:, 1:5].mT.reshape(1, WIDTH, 2, 2)
        pos = functional.interpolate(grid, (2, 3), mode="bicubic", antialias=True)
        steps = torch.bucketize(torch.arange(1, 4) / 4, torch.tensor([0.3, 0.6]))
        pos = pos.clamp(-0.7, 0.7).flatten(2).mT + steps.cumsum(0).diff().sum()
        extra = torch.zeros(TOKENS, WIDTH)
        extra[1:3] = self.pos[0, 5:7]
        extra.add_(0.25)
        return x + pos + extra.masked_fill(extra > 1, 0.0) * float(self.pos.abs().max().item() > 100)


class Pooled(Tiny):
    """One token of the residual stream, without a norm, into a layer, tanh, and the head."""

    def pool(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.proj(x[:, 0])))


class LearnedQuery(Tiny):
    """A learned query pools the tokens, as in SigLIP; then an MLP beside its result."""

    def __init__(self, *, weights: bool = True) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.weights = weights

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)[:, 1:]
        y = self.attention(self.probe, x, x, need_weights=self.weights)[0]
        y = y + self.mlp(self.norm2(y))
        return self.head(y[:, 0])


class PostNorm(Tiny):
    """Norms behind the additions; the stream starts with a norm, as in CLIP."""

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed(image))
        x = self.norm1(x + self.attend(x))
        x = x + self.mlp(self.norm2(x))
        return self.pool(x)


class Autocast(Tiny):
    """Autocast that is off around a part, gradients that are on."""

    def mlp(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            a, b = self.up(x).chunk(2, -1)
        with torch.enable_grad():
            return self.down(functional.relu(torch.cat((b, a), -1)))


class Skips(Tiny):
    """A linear layer on the stream and an earlier one, as in U-ViT: the first is the patch embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.join = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        first = self.embed(image)
        second = first + self.attend(self.norm1(first))
        x = second + self.mlp(self.norm2(second))
        x = x + self.mlp(self.norm2(self.join(torch.cat((x, second), -1))))
        return self.pool(self.join(torch.cat((x, first), -1)))


class Detections(Tiny):
    """Learned tokens behind the patches, as in YOLOS, and between them; patches in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.zeros(1, 3, WIDTH))
        self.pos = nn.Parameter(torch.zeros(1, TOKENS + 4, WIDTH))

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2).flip(1)
        return torch.cat((self.cls, x[:, :2], self.more[:, :1], x[:, 2:], self.more[:, 1:]), 1) + self.pos

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x)[:, -2:].mean(1))


class Positioned(Tiny):
    """Positions are channels of their own, beside those of the patches."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(2 * WIDTH, WIDTH)

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        y = nn.functional.layer_norm(torch.cat((x, self.pos[:, 1:]), -1), (2 * WIDTH,))
        return self.project(y)


class Prompts(Tiny):
    """Learned tokens take the place of others between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(2, 2, WIDTH))

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        x = torch.cat((x[:, :1], self.prompts[:1], x[:, 1:]), 1)
        x = x + self.attend(self.norm1(x))
        x = torch.cat((x[:, :1], self.prompts[1:], x[:, 3:]), 1)
        return self.pool(x + self.attend(self.norm2(x)))


class Groups(Tiny):
    """Group norms of whole tokens and of their heads."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, WIDTH), nn.GroupNorm(HEADS, WIDTH)  # type: ignore[assignment]

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        x = x + self.mlp(self.norm2(x[0])[None])
        x = x + self.attend(self.norm1(x[0])[None])
        return self.pool(x)


SPELLINGS: dict[str, Callable[[], Tiny]] = {
    "learned_query_fused": lambda: LearnedQuery(weights=False),
    **{name: (lambda f=f: Activated(f)) for name, f in FUNCTIONS.items()},
    **{
        one.__name__: one
        for one in (
            Parallel, Scaled, Shapes, Grid, GridMean, Normalised, Frames, Unfolded, TwoLayers, Joined,
            NoProjection, PerHead, Folded, Pooled, LearnedQuery, PostNorm, Autocast, Skips, Detections,
            Positioned, Prompts, Groups,
        )
    },
}  # fmt: skip
