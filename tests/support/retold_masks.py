# SPDX-License-Identifier: Apache-2.0
"""Systems with masks and biases again, each from its paper and in another hand; nothing is imported of them.

Masks are buffers, tables of indices, comparisons in forward, numbers far below zero, or torch's own.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.retold import DIM, HEADS, PATCHES, SIDE, Classifier, Embedding, Residual, mlp

EACH = DIM // HEADS


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, EACH)).transpose(-3, -2)


class Scored(nn.Module):
    """Attention by einsum; a subclass changes its scores [B, h, T, S]."""

    def __init__(self) -> None:
        super().__init__()
        self.ln, self.wqkv = nn.LayerNorm(DIM), nn.Parameter(torch.empty(3, HEADS, EACH, DIM))
        self.wo = nn.Linear(DIM, DIM)

    def scores(self, dots: Tensor) -> Tensor:
        return dots

    def joined(self, out: Tensor) -> Tensor:
        """[B, T, h, d] -> [B, T, D]."""
        return self.wo(out.flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bnd,shed->sbnhe", self.ln(x), self.wqkv).unbind(0)
        dots = torch.einsum("bihe,bjhe->bhij", q, k) / math.sqrt(EACH)
        weights = functional.softmax(self.scores(dots), dim=-1)
        return self.joined(torch.einsum("bhij,bjhe->bihe", weights, v))


class NeighborTable(Scored):
    """GNA: a table of the keys of each query, scattered into a mask of numbers."""

    mask: Tensor

    def __init__(self, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        mask = torch.full((PATCHES, PATCHES), torch.finfo(torch.float32).min)
        for y, x in itertools.product(range(SIDE), repeat=2):
            rows, columns = (self.window(at, kernel, stride, dilation) for at in (y, x))
            table = torch.tensor([r * SIDE + c for r in rows for c in columns])
            mask[y * SIDE + x].scatter_(0, table, 0.0)
        self.register_buffer("mask", mask)

    def window(self, at: int, kernel: int, stride: int, dilation: int) -> list[int]:
        group = [place for place in range(SIDE) if place % dilation == at % dilation]
        mine = group.index(at)
        leader = min(mine - mine % stride + stride // 2, len(group) - 1)
        first = min(max(leader - kernel // 2, 0), len(group) - kernel)
        return group[first : first + kernel]

    def scores(self, dots: Tensor) -> Tensor:
        return dots + self.mask


class NearBySteps(Scored):
    """FNA: windows clamped at the border, by comparisons of rows and columns while it runs."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def scores(self, dots: Tensor) -> Tensor:
        place = torch.arange(SIDE, device=dots.device)
        start = (place - self.kernel // 2).clamp(0, SIDE - self.kernel)
        near = (place >= start[:, None]) & (place < start[:, None] + self.kernel)
        seen = near[:, None, :, None] & near[None, :, None, :]
        return torch.where(seen.reshape(PATCHES, PATCHES), dots, -1e9)


class UnfoldedWindows(Scored):
    """FNA with a dilation: the places of windows are cut by unfold, then one of each is taken at borders."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(PATCHES).reshape(SIDE, SIDE)
        windows = places.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)
        at = torch.arange(SIDE).sub(1).clamp(0, SIDE - 3)
        self.register_buffer("index", windows[at[:, None], at[None, :]].flatten(0, 1))

    def scores(self, dots: Tensor) -> Tensor:
        seen = functional.one_hot(self.index, PATCHES).sum(1) > 0
        return dots.masked_fill(seen.logical_not(), float("-inf"))


class Sharded(Scored):
    """S2: a mask for each head, blocks repeated into tokens, through torch's attention."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bnd,shed->sbhne", self.ln(x), self.wqkv)
        block = torch.arange(PATCHES // 2)
        back = block[:, None] - block
        masks = [(back < 2) | ((block + head) % 3 == 0)[None] for head in range(HEADS)]
        mask = torch.stack(masks).repeat_interleave(2, 1).repeat_interleave(2, 2)
        mask = mask & torch.ones_like(mask).tril()
        out = functional.scaled_dot_product_attention(q, k, v, mask.unsqueeze(0))
        return self.joined(out.transpose(1, 2))


class LastToken(nn.Module):
    """The embedding, stages, and the classes of the last token."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.embedding, self.stages = Embedding(), nn.Sequential(*stages)
        self.ln, self.fc = nn.LayerNorm(DIM), nn.Linear(DIM, 6)

    def tokens(self, img: Tensor) -> Tensor:
        return self.embedding(img)

    def forward(self, img: Tensor) -> Tensor:
        return self.fc(self.ln(self.stages(self.tokens(img)))[:, -1, :])


class Chat(LastToken):
    """[system; image; question], the last two of them constant prompts around the image."""

    def __init__(self, *stages: nn.Module, system: int = 2, question: int = 3) -> None:
        super().__init__(*stages)
        self.system = nn.Parameter(torch.empty(system, DIM))
        self.question = nn.Parameter(torch.empty(question, DIM))

    def tokens(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        parts = [self.system.repeat(len(x), 1, 1), x, self.question.repeat(len(x), 1, 1)]
        return torch.cat(parts, dim=1)


class Prompted(LastToken):
    """[image; prompt]."""

    def __init__(self, *stages: nn.Module, question: int) -> None:
        super().__init__(*stages)
        self.question = nn.Parameter(torch.empty(1, question, DIM))

    def tokens(self, img: Tensor) -> Tensor:
        return torch.cat([self.embedding(img), self.question.expand(len(img), -1, -1)], 1)


class Mutual(Scored):
    """AKI: causal numbers, and zeros where the image meets the question."""

    def scores(self, dots: Tensor) -> Tensor:
        length = dots.size(-1)
        bias = torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
        bias[2 : 2 + PATCHES, 2 + PATCHES :] = 0.0
        return dots + bias[None, None]


class AlignedLayer(nn.Module):
    """EE-MLLM: image and text in one tensor; only text rows get attention."""

    def __init__(self, text: int) -> None:
        super().__init__()
        self.text, self.ln, self.mlp = text, nn.LayerNorm(DIM), mlp()
        self.w = nn.ParameterList([torch.empty(HEADS, DIM, EACH) for _ in range(3)])
        self.wo = nn.Parameter(torch.empty(HEADS, EACH, DIM))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln(x)
        q = torch.einsum("bnd,hde->bhne", y[:, -self.text :], self.w[0])
        k, v = (torch.einsum("bnd,hde->bhne", y, w) for w in list(self.w)[1:])
        dots = q @ k.mT * EACH**-0.5
        later = torch.arange(x.size(1))[None] > torch.arange(PATCHES, x.size(1))[:, None]
        out = dots.masked_fill(later, torch.finfo(dots.dtype).min).softmax(-1) @ v
        told = x[:, -self.text :] + torch.einsum("bhne,hed->bnd", out, self.wo)
        x = torch.cat([x[:, : -self.text], told], 1)
        return x + self.mlp(x)


class GazeDecoder(nn.Module):
    """OAT by torch's encoder and decoder layers, and their mask of later steps."""

    def __init__(self, steps: int = 5) -> None:
        super().__init__()
        options = {"dim_feedforward": 40, "batch_first": True, "activation": "gelu"}
        self.embedding, self.seen = Embedding(), nn.Parameter(torch.empty(steps, DIM))
        self.encoder = nn.TransformerEncoderLayer(DIM, HEADS, norm_first=True, **options)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(DIM, HEADS, norm_first=True, **options), num_layers=2
        )
        self.pointer = nn.Parameter(torch.empty(DIM, DIM))

    def forward(self, img: Tensor) -> Tensor:
        objects = self.encoder(self.embedding(img))
        history = self.seen.expand(img.size(0), -1, -1)
        later = nn.Transformer.generate_square_subsequent_mask(len(self.seen))
        steps = self.decoder(history, objects, tgt_mask=later, tgt_is_causal=True)
        return torch.einsum("btd,de,boe->bto", steps, self.pointer, objects)


class Streams(nn.Module):
    """SegVG: three kinds of tokens in one tensor, their weights by kind, padding as float minus infinity."""

    padding: Tensor

    def __init__(self, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.lns = nn.ModuleList([nn.LayerNorm(DIM) for _ in sizes])
        self.w, self.wo = nn.Parameter(torch.empty(3, 3, DIM, DIM)), nn.Parameter(torch.empty(3, DIM, DIM))
        padding = torch.zeros(1, 1, 1, sum(sizes))
        padding[..., sizes[0] + sizes[1] - 2 : sizes[0] + sizes[1]] = -math.inf
        self.register_buffer("padding", padding)

    def forward(self, x: Tensor) -> Tensor:
        kinds = [ln(part) for ln, part in zip(self.lns, x.split(self.sizes, 1), strict=True)]
        q, k, v = (
            heads(torch.cat([part @ self.w[kind, role] for kind, part in enumerate(kinds)], 1))
            for role in range(3)
        )
        weights = (torch.einsum("bhid,bhjd->bhij", q, k) * EACH**-0.5 + self.padding).softmax(-1)
        out = torch.einsum("bhij,bhjd->bihd", weights, v).flatten(2).split(self.sizes, 1)
        return x + torch.cat([part @ self.wo[kind] for kind, part in enumerate(out)], 1)


class Grounding(nn.Module):
    """Three layers of streams, then torch's attention of the object queries, with its padding mask."""

    def __init__(self, objects: int = 2, words: int = 5) -> None:
        super().__init__()
        self.embedding, self.sizes = Embedding(), (objects, words, PATCHES)
        self.tokens = nn.Parameter(torch.empty(objects + words, DIM))
        self.layers = nn.Sequential(Streams(self.sizes), Streams(self.sizes))
        self.ln, self.attn = nn.LayerNorm(DIM), nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        self.box = nn.Linear(DIM, 4)

    def forward(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        x = self.layers(torch.cat([self.tokens.expand(len(x), -1, -1), x], 1))
        objects, rest = x[:, : self.sizes[0]], self.ln(x[:, self.sizes[0] :])
        ignored = torch.arange(rest.size(1)).sub(self.sizes[1]).abs().le(2) & (
            torch.arange(rest.size(1)) < self.sizes[1]
        )
        found = self.attn(
            objects, rest, rest, key_padding_mask=ignored.expand(len(x), -1), need_weights=False
        )
        return self.box((objects + found[0])[:, 0])


class RunningMeans(Scored):
    """MQSA: queries of padded windows, added up and divided by how many items are valid."""

    def __init__(self, span: int) -> None:
        super().__init__()
        self.span, self.norm_q = span, nn.LayerNorm(DIM)

    def forward(self, x: Tensor) -> Tensor:
        padded = torch.cat([x.new_zeros(len(x), self.span - 1, DIM), x], 1)
        sums = padded.unfold(1, self.span, 1).sum(-1)
        valid = torch.arange(1, x.size(1) + 1).clamp(max=self.span)
        asks = self.norm_q(sums / valid[:, None])
        q = torch.einsum("bnd,hed->bhne", asks, self.wqkv[0])
        k, v = torch.einsum("bnd,shed->sbhne", x, self.wqkv[1:])
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.joined(out.transpose(1, 2))


class TwoSpans(nn.Module):
    """Stacks of one item and of several, weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = Embedding(), nn.Linear(DIM, 6)
        self.stacks = nn.ModuleList([Residual(RunningMeans(span), mlp()) for span in (1, 3)])

    def forward(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        short, long = (self.fc(stack(x)[:, -1]) for stack in self.stacks)
        return 0.3 * short + 0.7 * long


class Repositioned(Scored):
    """IR-Diffusion: left and right halves are two pictures; places of one look up the other's subject."""

    table: Tensor
    allowed: Tensor

    def __init__(self) -> None:
        super().__init__()
        grid = torch.arange(PATCHES).reshape(SIDE, SIDE)
        here, there = grid[:2, :2], grid[1:3, 2:]
        names = torch.zeros(SIDE, SIDE, dtype=torch.long)
        names[:2, :2], names[1:3, 2:], names[3, :] = 1, 1, 2
        picture = grid % SIDE // 2
        table = torch.cat([there.flip(1).flatten(), here.flatten()])
        goal = torch.cat([here.flatten(), there.flatten()])
        names, picture = names.flatten(), picture.flatten()
        own = (names[:, None] * names == 0) | (names[:, None] == names)
        own &= picture[:, None] == picture
        other = (names[:, None] == names[goal]) & (picture[:, None] == picture[goal])
        self.register_buffer("table", table)
        self.register_buffer("allowed", torch.cat([own, other], 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bnd,shed->sbhne", self.ln(x), self.wqkv)
        k, v = (torch.cat([part, part.index_select(2, self.table)], 2) for part in (k, v))
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed)
        return self.joined(out.transpose(1, 2))


class LouderHeads(Scored):
    """VHR: causal through torch, and chosen heads of the result scaled in a copy."""

    def __init__(self, chosen: list[int]) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bnd,shed->sbhne", self.ln(x), self.wqkv)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        parts = [out[:, i] * (1.5 if i in self.chosen else 1.0) for i in range(HEADS)]
        return self.joined(torch.stack(parts, dim=2))


class Injection(Scored):
    """Soft Injection: lerp between each head's result and a stored vector; causal by a triangle of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.task = nn.Parameter(torch.empty(HEADS)), nn.Parameter(torch.empty(HEADS, EACH))

    def scores(self, dots: Tensor) -> Tensor:
        seen = torch.tril(torch.ones(dots.shape[-2:]))
        return dots.masked_fill(seen == 0, float("-inf"))

    def joined(self, out: Tensor) -> Tensor:
        return super().joined(torch.lerp(out, self.task.expand_as(out), self.alpha.sigmoid()[:, None]))


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    return {
        "neighborhood_table": Classifier(Residual(NeighborTable(3, 2), mlp(), NeighborTable(2, 1, 2), mlp())),
        "neighborhood_blocks": Classifier(Residual(NeighborTable(2, 2), mlp())),
        "neighborhood_compared": Classifier(Residual(NearBySteps(3), mlp())),
        "neighborhood_unfolded": Classifier(Residual(UnfoldedWindows(), mlp())),
        "s2_attention": LastToken(Residual(Sharded(), mlp(), Sharded(), mlp())),
        "aki": Chat(Residual(Mutual(), mlp(), Mutual(), mlp())),
        "ee_mllm": Prompted(AlignedLayer(4), AlignedLayer(4), question=4),
        "oat": GazeDecoder(),
        "segvg": Grounding(),
        "mqsa_ted": TwoSpans(),
        "ir_diffusion": Classifier(Residual(Repositioned(), mlp(), Repositioned(), mlp())),
        "vhr": Chat(Residual(LouderHeads([0]), mlp(), LouderHeads([1, 2]), mlp())),
        "soft_injection": LastToken(Residual(Injection(), mlp())),
    }
