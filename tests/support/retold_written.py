# SPDX-License-Identifier: Apache-2.0
"""Systems by a hand that writes into parts of tensors, in loops, for one token, at places of tables.

Rows are pooled, summed up and resampled; positions meet queries (ViTDet, SAM).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.retold import DIM, HEADS, PATCHES, SIDE, Classifier, Residual, mlp

EACH = DIM // HEADS


class Heads(nn.Module):
    """Attention of heads [B, h, N, d], in parts that others change."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def scores(self, dots: Tensor) -> Tensor:
        return dots.softmax(-1)

    def heads(self, o: Tensor) -> Tensor:
        return o

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.scores(q @ k.transpose(-2, -1) / math.sqrt(EACH)) @ v

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, EACH)).permute(2, 0, 3, 1, 4)
        return self.proj(self.heads(self.attend(q, k, v)).transpose(1, 2).flatten(2))


class InjectedAtLast(Heads):
    """Soft Injection: some heads of the last token are drawn towards stored ones."""

    def __init__(self) -> None:
        super().__init__()
        self.task = nn.Parameter(torch.empty(HEADS, EACH))

    def heads(self, o: Tensor) -> Tensor:
        o = o.clone()
        for head, share in ((0, 0.3), (2, 0.8)):
            o[:, head, -1, :] = (1 - share) * o[:, head, -1, :] + share * self.task[head]
        return o


class Strengthened(Heads):
    """VHR: the heads that look are multiplied where they stand."""

    def heads(self, o: Tensor) -> Tensor:
        o = o.clone()
        o[:, [0, 2]] = o[:, [0, 2]] * 1.5
        return o


class Arrow(Heads):
    """A band and the first token, whose own row has scores times log n."""

    def scores(self, dots: Tensor) -> Tensor:
        place = torch.arange(PATCHES)
        near = ((place[:, None] - place).abs() <= 2) | (place == 0) | (place == 0)[:, None]
        level = torch.ones(PATCHES, 1)
        level[0] = math.log(PATCHES)
        return (dots * level).masked_fill(~near, torch.finfo(dots.dtype).min).softmax(-1)


class Unseeing(Heads):
    """Some queries see no key: their weights are no numbers, then zeros."""

    def scores(self, dots: Tensor) -> Tensor:
        seen = torch.ones(PATCHES, PATCHES).tril(-2).bool()
        return torch.nan_to_num(dots.masked_fill(~seen, float("-inf")).softmax(-1), 0.0)


class Isolated(Heads):
    """IR-Diffusion: each subject's rows ask their own keys, and are put back by tables."""

    def __init__(self) -> None:
        super().__init__()
        subject = torch.zeros(SIDE, SIDE, dtype=torch.long)
        subject[:2, :2], subject[2:, 1:] = 1, 2
        each = ((0, 9), (1, 2), (2, 1))
        self.tables = [
            [torch.nonzero(mine.flatten())[:, 0] for mine in (subject == number, subject != hidden)]
            for number, hidden in each
        ]

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.zeros_like(q)
        for rows, keys in self.tables:
            found = functional.scaled_dot_product_attention(q[:, :, rows], k[:, :, keys], v[:, :, keys])
            out[:, :, rows] = found
        return out


class Repositioned(Heads):
    """IR-Diffusion: features of a box, resampled to another size, are keys and values too."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (torch.cat([part, self.moved(part)], 2) for part in (k, v))
        return super().attend(q, k, v)

    def moved(self, part: Tensor) -> Tensor:
        grid = part.transpose(2, 3).reshape(-1, DIM, SIDE, SIDE)[..., 1:, :3]
        box = functional.interpolate(grid, size=(2, 2), mode="bilinear", align_corners=False)
        return box.reshape(-1, HEADS, EACH, 4).transpose(2, 3)


class MeanQueries(nn.Module):
    """MQSA-TED: queries are means of the last tokens, by running sums or by pooling."""

    def __init__(self, length: int, *, pooled: bool) -> None:
        super().__init__()
        self.length, self.pooled = length, pooled
        self.norm, self.q, self.kv = nn.LayerNorm(DIM), nn.Linear(DIM, DIM), nn.Linear(DIM, 2 * DIM)

    def mean(self, x: Tensor) -> Tensor:
        if self.pooled:
            left = functional.pad(x.transpose(1, 2), (self.length - 1, 0))
            return functional.avg_pool1d(left, self.length, stride=1).transpose(1, 2)
        total = torch.cumsum(x, 1)
        before = functional.pad(total, (0, 0, self.length, 0))[:, : x.shape[1]]
        return (total - before) / torch.arange(1, 1 + x.shape[1]).clamp(max=self.length).view(1, -1, 1)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.kv(x).chunk(2, -1)
        return functional.scaled_dot_product_attention(self.q(self.norm(self.mean(x))), k, v, is_causal=True)


class WindowByWindow(nn.Module):
    """Windows in a loop over the grid, cut at its edge, written into zeros."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.size = size
        self.mha = nn.MultiheadAttention(DIM, HEADS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        grid = x.unflatten(1, (SIDE, SIDE))
        out = torch.zeros_like(grid)
        for row in range(0, SIDE, self.size):
            for column in range(0, SIDE, self.size):
                part = grid[:, row : row + self.size, column : column + self.size]
                one = part.flatten(1, 2)
                found = self.mha(one, one, one, need_weights=False)[0]
                out[:, row : row + self.size, column : column + self.size] = found.view_as(part)
        return out.flatten(1, 2)


class Shifted(Heads):
    """Swin: rolled windows; masks are added to the last row and the last column of windows alone."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size
        self.table = nn.Parameter(torch.empty(2 * size - 1, 2 * size - 1))

    def forward(self, x: Tensor) -> Tensor:
        w, n = self.size, SIDE // self.size
        grid = self.norm(x).unflatten(1, (SIDE, SIDE)).roll((-1, -1), (1, 2))
        q, k, v = self.qkv(grid).reshape(-1, n, w, n, w, 3, HEADS, EACH).permute(5, 0, 6, 1, 3, 2, 4, 7)
        q, k, v = (part.reshape(-1, HEADS, n * n, w * w, EACH) for part in (q, k, v))
        dots = q @ k.transpose(-2, -1) * EACH**-0.5
        at = torch.cartesian_prod(torch.arange(w), torch.arange(w))
        steps = at[:, None] - at[None] + w - 1
        dots = dots + self.table[steps[..., 0], steps[..., 1]]
        row, column = (at[:, None, axis] != at[None, :, axis] for axis in (0, 1))
        dots[:, :, -n:] += torch.zeros(row.shape).masked_fill(row, float("-inf"))
        dots[:, :, n - 1 :: n] += torch.zeros(column.shape).masked_fill(column, float("-inf"))
        o = (dots.softmax(-1) @ v).reshape(-1, HEADS, n, n, w, w, EACH).permute(0, 2, 4, 3, 5, 1, 6)
        return self.proj(o.reshape(-1, SIDE, SIDE, DIM)).roll((1, 1), (1, 2)).flatten(1, 2)


class Positioned(Heads):
    """ViTDet: what a query has for a key's line and column is added; in windows of any size."""

    def __init__(self, size: int, *, fused: bool = False) -> None:
        super().__init__()
        self.size, self.fused = size, fused
        self.rel_h, self.rel_w = (nn.Parameter(torch.empty(2 * size - 1, EACH)) for _ in range(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        lead, size = q.shape[:2], self.size
        place = torch.arange(size)
        steps = place[:, None] - place + size - 1
        grid = q.reshape(-1, size, size, EACH)
        lines = torch.einsum("bhwc,hkc->bhwk", grid, self.rel_h[steps])[..., None]
        columns = torch.einsum("bhwc,wkc->bhwk", grid, self.rel_w[steps])[..., None, :]
        if self.fused:
            bias = (lines + columns).reshape(*lead, size * size, size * size)
            return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        dots = (q * EACH**-0.5 @ k.mT).view(-1, size, size, size, size)
        return (dots + lines + columns).view(*lead, size * size, -1).softmax(-1) @ v

    def forward(self, x: Tensor) -> Tensor:
        n, size = -(-SIDE // self.size), self.size
        grid = functional.pad(x.unflatten(1, (SIDE, SIDE)), (0, 0, 0, n * size - SIDE, 0, n * size - SIDE))
        parts = grid.view(-1, n, size, n, size, DIM).permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, DIM)
        out = super().forward(parts).view(-1, n, n, size, size, DIM).permute(0, 1, 3, 2, 4, 5)
        return out.reshape(-1, n * size, n * size, DIM)[:, :SIDE, :SIDE].flatten(1, 2)


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    made: dict[str, nn.Module] = {
        "injected_at_last": InjectedAtLast(),
        "heads_strengthened": Strengthened(),
        "arrow_by_rows": Arrow(),
        "unseeing": Unseeing(),
        "subjects_isolated": Isolated(),
        "subject_repositioned": Repositioned(),
        "queries_by_sums": MeanQueries(3, pooled=False),
        "queries_by_pooling": MeanQueries(4, pooled=True),
        "window_by_window": WindowByWindow(),
        "windows_shifted": Shifted(),
        "positions_of_queries": Positioned(SIDE),
        "positions_in_windows": Positioned(3),
        "positions_fused": Positioned(2, fused=True),
    }
    return {name: Classifier(Residual(part, mlp())) for name, part in made.items()}
