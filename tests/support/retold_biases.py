# SPDX-License-Identifier: Apache-2.0
"""Models with biases of scores again, each from its paper and in another hand; nothing is imported of them.

Tables of steps are cut by unfold, looked up, or computed by a network while the model runs.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.retold import DIM, HEADS, PATCHES, SIDE, Classifier, Embedding, Residual, mlp
from support.retold_masks import LastToken, Scored


class SkewedTable(Scored):
    """BEiT: the bias of each step is cut from a table of steps by unfold; the class token has its own."""

    def __init__(self) -> None:
        super().__init__()
        side = 2 * SIDE - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(HEADS, side, side))
        self.cls_bias = nn.Parameter(torch.empty(3, HEADS))

    def scores(self, dots: Tensor) -> Tensor:
        table = self.relative_position_bias_table.flip(1, 2)
        bias = table.unfold(1, SIDE, 1).unfold(2, SIDE, 1).flip(1, 2)
        bias = bias.reshape(HEADS, PATCHES, PATCHES)
        bias = functional.pad(bias, (1, 0, 1, 0))
        bias[:, 0, 1:] = self.cls_bias[0][:, None]
        bias[:, 1:, 0] = self.cls_bias[1][:, None]
        bias[:, 0, 0] = self.cls_bias[2]
        return dots + bias.unsqueeze(0)


class WithClass(LastToken):
    """A class token in front, which is read."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__(*stages)
        self.cls = nn.Parameter(torch.empty(1, 1, DIM))

    def forward(self, img: Tensor) -> Tensor:
        x = torch.cat([self.cls.expand(len(img), -1, -1), self.embedding(img)], 1)
        return self.fc(self.ln(self.stages(x)[:, 0]))


class RowsAndColumns(Scored):
    """A bias of the rows' step plus one of the columns', on scores seen as [h, y, x, y', x']."""

    def __init__(self) -> None:
        super().__init__()
        self.rel_h = nn.Parameter(torch.empty(2 * SIDE - 1, HEADS))
        self.rel_w = nn.Parameter(torch.empty(2 * SIDE - 1, HEADS))

    def scores(self, dots: Tensor) -> Tensor:
        step = torch.arange(SIDE)[:, None] - torch.arange(SIDE) + SIDE - 1
        grid = dots.view(-1, HEADS, SIDE, SIDE, SIDE, SIDE)
        grid = grid + self.rel_h[step].permute(2, 0, 1)[:, :, None, :, None]
        grid = grid + self.rel_w[step].permute(2, 0, 1)[:, None, :, None, :]
        return grid.view_as(dots)


class LogSteps(Scored):
    """Continuous bias: a network of log-spaced steps, looked up by the relative index."""

    def __init__(self) -> None:
        super().__init__()
        self.meta = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, HEADS))

    def scores(self, dots: Tensor) -> Tensor:
        line = torch.arange(1.0 - SIDE, SIDE)
        table = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
        table = (torch.sign(table) * torch.log1p(table.abs())).to(dots.dtype)
        place = torch.arange(PATCHES)
        y = place[:, None] // SIDE - place // SIDE + SIDE - 1
        x = place[:, None] % SIDE - place % SIDE + SIDE - 1
        bias = self.meta(table).flatten(0, 1)[y * (2 * SIDE - 1) + x]
        return dots + 4 * bias.permute(2, 0, 1).tanh()


class LinearBias(Scored):
    """ALiBi: slopes by powers, a bias of the key alone; later keys at the smallest number of the type."""

    slopes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.pow(2.0, -torch.arange(1.0, HEADS + 1) * 8 / HEADS))

    def scores(self, dots: Tensor) -> Tensor:
        length = dots.size(-1)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        bias = self.slopes[:, None, None] * torch.arange(length)[None, None, :]
        smallest = torch.full((), torch.finfo(dots.dtype).min, dtype=dots.dtype)
        return torch.where(later, smallest, dots + bias)


class TextBlock(nn.Module):
    """CLIP's block on [N, B, D], with a mask that it builds."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ln_1 = nn.MultiheadAttention(DIM, HEADS), nn.LayerNorm(DIM)
        self.ff = mlp()

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.empty(len(x), len(x), dtype=x.dtype).fill_(float("-inf")).triu_(1)
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.ff(x)


class TextTower(nn.Module):
    """Tokens first; the last is projected."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.blocks = Embedding(), nn.Sequential(TextBlock(), TextBlock())
        self.ln_final, self.text_projection = nn.LayerNorm(DIM), nn.Parameter(torch.empty(DIM, 6))

    def forward(self, img: Tensor) -> Tensor:
        x = self.blocks(self.embedding(img).permute(1, 0, 2)).permute(1, 0, 2)
        return self.ln_final(x)[torch.arange(len(x)), -1] @ self.text_projection


class GridAttention(nn.Module):
    """LeViT with pictures [B, C, h, w]: 1x1 convolutions and their norms; shrinking by a strided picture."""

    bias_index: Tensor

    def __init__(self, stride: int = 1, ratio: int = 2) -> None:
        super().__init__()
        self.stride, self.ratio, self.key = stride, ratio, 8
        self.q, self.k = self.conv(DIM, HEADS * 8), self.conv(DIM, HEADS * 8)
        self.v, self.proj = self.conv(DIM, HEADS * 8 * ratio), self.conv(HEADS * 8 * ratio, DIM)
        points = list(itertools.product(range(SIDE), repeat=2))
        asks = list(itertools.product(range(0, SIDE, stride), repeat=2))
        offsets: dict[tuple[int, int], int] = {}
        index = [
            offsets.setdefault((abs(a[0] - b[0]), abs(a[1] - b[1])), len(offsets))
            for a in asks
            for b in points
        ]
        self.attention_biases = nn.Parameter(torch.empty(HEADS, len(offsets)))
        self.register_buffer("bias_index", torch.tensor(index).view(len(asks), len(points)))

    def conv(self, width: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        few = x[..., :: self.stride, :: self.stride]
        q = self.q(few).flatten(2).unflatten(1, (HEADS, -1))
        k, v = (f(x).flatten(2).unflatten(1, (HEADS, -1)) for f in (self.k, self.v))
        attn = torch.einsum("bhdi,bhdj->bhij", q, k) * self.key**-0.5
        attn = (attn + self.attention_biases[:, self.bias_index]).softmax(-1)
        out = torch.einsum("bhij,bhdj->bhdi", attn, v).flatten(1, 2).unflatten(2, few.shape[-2:])
        return self.proj(functional.hardswish(out))


class Shrinking(nn.Module):
    """Two layers on pictures, of which the second has a quarter of the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.attn, self.down = nn.Conv2d(3, DIM, 4, 4), GridAttention(), GridAttention(stride=2)
        self.fc = nn.Linear(DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.patch(img)
        x = self.down(x + self.attn(x))
        return self.fc(x.mean((2, 3)))


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    return {
        "beit": WithClass(Residual(SkewedTable(), mlp(), SkewedTable(), mlp())),
        "rows_and_columns": Classifier(Residual(RowsAndColumns(), mlp())),
        "log_cpb": Classifier(Residual(LogSteps(), mlp())),
        "alibi": LastToken(Residual(LinearBias(), mlp(), LinearBias(), mlp())),
        "clip_text": TextTower(),
        "levit": Shrinking(),
    }
