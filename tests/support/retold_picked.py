# SPDX-License-Identifier: Apache-2.0
"""Attention to some keys, by another hand: keys are gathered for each query, each window, each head.

Neighbourhoods by tables of indices and by unfold, blocks with a halo, shards of heads, windows and heads in
any order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.retold import DIM, HEADS, PATCHES, SIDE, Classifier, Embedding, Residual, mlp

EACH = DIM // HEADS
NEAR = 3


class Split(nn.Module):
    """Queries, keys and values [B, h, N, d], and the projection behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.ln, self.qkv, self.proj = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def split(self, x: Tensor) -> Tensor:
        return self.qkv(self.ln(x)).reshape(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.attend(*self.split(x)).transpose(1, 2).flatten(2))


class Neighbors(Split):
    """FNA: a table of each query's keys, clamped at the border; a bias by place in the window."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        start = (torch.arange(SIDE) - NEAR // 2).clamp(0, SIDE - NEAR)
        line = start[:, None] + torch.arange(NEAR)
        table = line[:, None, :, None] * SIDE + line[None, :, None, :]
        self.register_buffer("table", table.reshape(PATCHES, -1))
        self.rpb = nn.Parameter(torch.empty(HEADS, NEAR * NEAR))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = k[:, :, self.table], v[:, :, self.table]
        dots = torch.einsum("bhnd,bhnkd->bhnk", q, k) / math.sqrt(EACH) + self.rpb[:, None]
        return torch.einsum("bhnk,bhnkd->bhnd", dots.softmax(-1), v)


class Multiplied(Neighbors):
    """The same by products of each query with its keys."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = k[:, :, self.table], v[:, :, self.table]
        dots = (q.unsqueeze(-2) @ k.mT).squeeze(-2) / math.sqrt(EACH) + self.rpb[:, None]
        return (dots.softmax(-1).unsqueeze(-2) @ v).squeeze(-2)


class AddedUp(Neighbors):
    """The same, element by element."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = k[:, :, self.table], v[:, :, self.table]
        dots = (q.unsqueeze(-2) * k).sum(-1) * EACH**-0.5 + self.rpb[:, None]
        return (dots.softmax(-1).unsqueeze(-1) * v).sum(-2)


class Taken(Neighbors):
    """All scores first, of which each query takes those of its neighbours."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        dots = q @ k.mT * EACH**-0.5
        near = dots.gather(-1, self.table.expand(*dots.shape[:2], -1, -1)) + self.rpb[:, None]
        return torch.einsum("bhnk,bhnkd->bhnd", near.softmax(-1), v[:, :, self.table])


class Unfolded(Split):
    """Windows of the grid of keys by unfold, that of the border again for what lies outside."""

    def windows(self, x: Tensor) -> Tensor:
        at = (torch.arange(SIDE) - 1).clamp(0, SIDE - NEAR)
        grid = x.unflatten(2, (SIDE, SIDE)).unfold(2, NEAR, 1).unfold(3, NEAR, 1)
        return grid[:, :, at][:, :, :, at].flatten(-2).flatten(2, 3).mT

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = self.windows(k), self.windows(v)
        return functional.scaled_dot_product_attention(q.unsqueeze(-2), k, v).squeeze(-2)


class Halo(Split):
    """GNA with a stride: queries in tiles of 2 x 2, keys by im2col, hidden where they lie outside."""

    def around(self, x: Tensor) -> Tensor:
        grid = x.mT.reshape(-1, EACH, SIDE, SIDE)
        columns = functional.unfold(grid, 4, padding=1, stride=2)
        return columns.reshape(*x.shape[:2], EACH, 16, -1).permute(0, 1, 4, 3, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        half = SIDE // 2
        tiles = q.reshape(*q.shape[:2], half, 2, half, 2, EACH).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        inside = functional.unfold(torch.ones(1, 1, SIDE, SIDE), 4, padding=1, stride=2).mT.bool()
        dots = tiles @ self.around(k).mT * EACH**-0.5
        out = dots.masked_fill(~inside[0, :, None], -torch.inf).softmax(-1) @ self.around(v)
        return out.unflatten(2, (half, half)).unflatten(4, (2, 2)).transpose(3, 4).flatten(2, 5)


class Shards(Split):
    """S2: the keys of each head are gathered; other heads have others."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        table = torch.stack([torch.arange(head, PATCHES - 3 + head, 2)[:6] for head in range(HEADS)])
        index = table[None, :, :, None].expand(len(q), -1, -1, EACH)
        weights = (q @ k.gather(2, index).mT * EACH**-0.5).softmax(-1)
        return weights @ v.gather(2, index)


class HeadsFirst(Split):
    """Windows behind the heads."""

    def windows(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], 2, 2, 2, 2, EACH).transpose(3, 4).reshape(*x.shape[:2], 4, 4, EACH)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (self.windows(part) for part in (q, k, v))
        out = functional.scaled_dot_product_attention(q, k, v)
        return out.reshape(*out.shape[:2], 2, 2, 2, 2, EACH).transpose(3, 4).flatten(2, 5)


class OneBatch(Split):
    """ViTDet: a padded grid in windows of 3 x 3; windows and heads are one axis; padding is a key, too."""

    def forward(self, x: Tensor) -> Tensor:
        grid = functional.pad(self.ln(x).unflatten(1, (SIDE, SIDE)), (0, 0, 0, 2, 0, 2))
        rows = grid.reshape(len(x), 2, 3, 2, 3, DIM).transpose(2, 3).reshape(-1, 9, DIM)
        q, k, v = self.qkv(rows).reshape(-1, 9, 3, HEADS, EACH).permute(2, 0, 3, 1, 4).flatten(1, 2)
        out = (q * EACH**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        out = self.proj(out.reshape(-1, HEADS, 9, EACH).transpose(1, 2).reshape(-1, 9, DIM))
        out = out.reshape(len(x), 2, 2, 3, 3, DIM).transpose(2, 3).reshape(len(x), 6, 6, DIM)
        return out[:, :SIDE, :SIDE].flatten(1, 2)


class EverySecond(Split):
    """Scores of all keys, of which every second one counts."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT * EACH**-0.5)[..., ::2].softmax(-1) @ v[:, :, ::2]


class Rolled(nn.Module):
    """Swin in pictures [B, h, w, D], by functions; the biases of keys are set to zero in a copy."""

    index: Tensor

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift, self.ln = shift, nn.LayerNorm(DIM)
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        at = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        steps = at[:, :, None] - at[:, None] + 1
        self.register_buffer("index", 3 * steps[0] + steps[1])
        self.table = nn.Parameter(torch.empty(9, HEADS))

    def hidden(self, x: Tensor) -> Tensor:
        """-100 between what rolled in and what was there, [windows, 4, 4]."""
        kinds, count, edges = x.new_zeros((SIDE, SIDE)), 0, ((0, -2), (-2, -self.shift), (-self.shift, None))
        for rows in edges:
            for columns in edges:
                kinds[rows[0] : rows[1], columns[0] : columns[1]] = count
                count += 1
        kinds = kinds.view(SIDE // 2, 2, SIDE // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
        apart = kinds.unsqueeze(1) - kinds.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.ln(tokens).view(-1, SIDE, SIDE, DIM)
        x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        x = x.view(-1, SIDE // 2, 2, SIDE // 2, 2, DIM).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, DIM)
        bias = self.qkv.bias.clone()
        bias[DIM : 2 * DIM].zero_()
        qkv = functional.linear(x, self.qkv.weight, bias)
        q, k, v = qkv.reshape(x.size(0), x.size(1), 3, HEADS, EACH).permute(2, 0, 3, 1, 4)
        dots = (q * EACH**-0.5).matmul(k.transpose(-2, -1))
        dots = dots + self.table[self.index.view(-1)].view(4, 4, HEADS).permute(2, 0, 1).unsqueeze(0)
        if self.shift:
            dots = dots.view(-1, 4, HEADS, 4, 4) + self.hidden(x).unsqueeze(1).unsqueeze(0)
            dots = dots.view(-1, HEADS, 4, 4)
        out = functional.softmax(dots, dim=-1).matmul(v).transpose(1, 2).reshape(-1, 4, DIM)
        out = self.proj(out).view(-1, SIDE // 2, SIDE // 2, 2, 2, DIM)
        out = out.permute(0, 1, 3, 2, 4, 5).reshape(-1, SIDE, SIDE, DIM)
        return torch.roll(out, shifts=(self.shift, self.shift), dims=(1, 2)).flatten(1, 2)


class Merged(nn.Module):
    """Patch merging: four strided pictures side by side, a norm, a smaller layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * DIM), nn.Linear(4 * DIM, DIM, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (SIDE, SIDE))
        parts = [x[..., row::2, column::2, :] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(parts, -1))).flatten(1, 2)


class BothKinds(nn.Module):
    """The mean of an image's tokens and of those that have asked them, which other layers have made."""

    def __init__(self, questions: int = 3) -> None:
        super().__init__()
        self.embedding, self.ask = Embedding(), nn.Parameter(torch.empty(questions, DIM))
        self.ln, self.kv, self.out = nn.LayerNorm(DIM), nn.Linear(DIM, 2 * DIM), nn.Linear(DIM, DIM)
        self.norm, self.fc = nn.LayerNorm(DIM), nn.Linear(DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        k, v = self.kv(self.ln(x)).chunk(2, -1)
        found = torch.einsum("qd,bkd->bqk", self.ask, k).mul(DIM**-0.5).softmax(-1) @ v
        return self.fc(self.norm(torch.cat([x, self.out(found)], 1).mean(1)))


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    made: dict[str, type[Split]] = {
        "neighbors_gathered": Neighbors,
        "neighbors_multiplied": Multiplied,
        "neighbors_added_up": AddedUp,
        "neighbors_taken": Taken,
        "neighbors_unfolded": Unfolded,
        "blocks_with_halo": Halo,
        "shards_gathered": Shards,
        "windows_behind_heads": HeadsFirst,
        "windows_and_heads": OneBatch,
        "every_second_key": EverySecond,
    }
    found: dict[str, nn.Module] = {name: Classifier(Residual(kind(), mlp())) for name, kind in made.items()}
    found["mean_of_both_kinds"] = BothKinds()
    return {**found, "swin_by_functions": Classifier(Residual(Rolled(0), mlp(), Rolled(1), mlp()), Merged())}
