# SPDX-License-Identifier: Apache-2.0
"""A block of each system at its published shape, in another hand than the examples; random weights.

Tokens come from pictures by patches of 4 x 4, or are constants: prompts, queries. Blocks of language models
are their attention, without rotary positions and without the gated MLP.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, quantize_images
from hlsgen.pipeline import capture, quantize

PATCH, CLASSES = 4, 16
CALIBRATION = 2
"""Pictures that calibrate: weights are random, only the time is measured."""
ROW_WIDTH = 2
"""Words that LOAD reads at once."""


class Attention(nn.Module):
    """Queries, keys and values [B, h, T, d]; a subclass says what these give, [B, h, T, d]."""

    def __init__(self, dim: int, heads: int, keys: int = 0, norm: type[nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.heads, self.keys, self.each = heads, keys or heads, dim // heads
        self.norm, self.out = norm(dim), nn.Linear(dim, dim)
        self.q, self.kv = nn.Linear(dim, dim), nn.Linear(dim, 2 * self.keys * self.each)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k, v = self.kv(x).chunk(2, -1)
        parts = [(self.q(x), self.heads), (k, self.keys), (v, self.keys)]
        q, k, v = (part.unflatten(-1, (count, self.each)).transpose(1, 2) for part, count in parts)
        return q, k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attend(*self.split(self.norm(x)))
        return x + self.out(y.transpose(1, 2).flatten(2))


class Seen(Attention):
    """Attention under a mask [T, S] or [h, T, S], true where a query sees a key."""

    mask: Tensor

    def __init__(self, dim: int, heads: int, mask: Tensor, keys: int = 0) -> None:
        super().__init__(dim, heads, keys, nn.RMSNorm)
        self.register_buffer("mask", mask, persistent=False)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        grouped = self.keys < self.heads
        return functional.scaled_dot_product_attention(q, k, v, self.mask, enable_gqa=grouped)


class Mlp(nn.Module):
    """x + fc2(gelu(fc1(norm(x))))."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(functional.gelu(self.fc1(self.norm(x))))


class Model(nn.Module):
    """Patches, prompts behind them, blocks, a norm, the mean, a few classes."""

    def __init__(self, grid: tuple[int, int], dim: int, *blocks: nn.Module, prompt: int = 0) -> None:
        super().__init__()
        self.grid, self.patches = grid, nn.Conv2d(3, dim, PATCH, PATCH)
        self.prompt, self.blocks = nn.Parameter(torch.randn(1, prompt, dim)), nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def tokens(self, pictures: Tensor) -> Tensor:
        x = self.patches(pictures).flatten(2).mT
        return torch.cat([x, self.prompt.expand(len(x), -1, -1)], 1) if self.prompt.shape[1] else x

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.tokens(pictures)).mean(1)))


class Blocked(Attention):
    """GNA whose stride is its window: tokens go to windows and back."""

    def __init__(self, dim: int, heads: int, side: int, window: int) -> None:
        super().__init__(dim, heads)
        self.sizes = side // window, window

    def windows(self, x: Tensor) -> Tensor:
        return x.unflatten(2, self.sizes * 2).transpose(3, 4).flatten(4, 5).flatten(2, 3)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (self.windows(part) for part in (q, k, v))
        y = functional.scaled_dot_product_attention(q, k, v)
        count, window = self.sizes
        return y.unflatten(3, (window, window)).unflatten(2, (count, count)).transpose(3, 4).flatten(2, 5)


class Neighbors(Attention):
    """FNA: the keys of each query are gathered, windows are clamped at the border; GNA with a stride."""

    table: Tensor

    def __init__(self, dim: int, heads: int, side: int, window: int, stride: int = 1) -> None:
        super().__init__(dim, heads)
        leader = (
            torch.arange(side) // stride * stride + stride // 2
        )  # its window is that of all in the stride
        line = (leader - window // 2).clamp(0, side - window)[:, None] + torch.arange(window)
        table = line[:, None, :, None] * side + line[None, :, None, :]
        self.register_buffer("table", table.reshape(side * side, -1), persistent=False)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        dots = torch.einsum("bhnd,bhnkd->bhnk", q, k[:, :, self.table]) / math.sqrt(self.each)
        return torch.einsum("bhnk,bhnkd->bhnd", dots.softmax(-1), v[:, :, self.table])


class Aligned(Seen):
    """EE-MLLM: text tokens ask all tokens; image tokens only give keys and values."""

    def __init__(self, dim: int, heads: int, image: int, text: int) -> None:
        super().__init__(dim, heads, causal(image + text)[image:])
        self.image = image

    def forward(self, x: Tensor) -> Tensor:
        picture, words = x[:, : self.image], x[:, self.image :]
        y = self.norm(x)
        k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.kv(y).chunk(2, -1))
        q = self.q(y[:, self.image :]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        words = words + self.out(self.attend(q, k, v).transpose(1, 2).flatten(2))
        return torch.cat([picture, words], 1)


class Louder(Seen):
    """VHR: some heads of the result count twice."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        gain = torch.ones(self.heads, 1, 1).index_fill(0, torch.arange(0, self.heads, 4), 2.0)
        return super().attend(q, k, v) * gain


class Injected(Seen):
    """Soft Injection: each head's result is mixed with a stored one."""

    def __init__(self, dim: int, heads: int, mask: Tensor, keys: int) -> None:
        super().__init__(dim, heads, mask, keys)
        self.share, self.task = (
            nn.Parameter(torch.randn(heads, 1, 1)),
            nn.Parameter(torch.randn(heads, 1, self.each)),
        )

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        share = self.share.sigmoid()
        return (1 - share) * super().attend(q, k, v) + share * self.task


class Kinds(nn.Module):
    """SegVG: objects, words and patches attend together through weights of their kinds; then objects ask."""

    hidden: Tensor

    def __init__(self, dim: int, heads: int, sizes: Sequence[int], words: int) -> None:
        super().__init__()
        self.heads, self.sizes = heads, list(sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in sizes)
        self.qkv = nn.ModuleList(nn.Linear(dim, 3 * dim) for _ in sizes)
        self.outs = nn.ModuleList(nn.Linear(dim, dim) for _ in sizes)
        places = torch.arange(sum(sizes))
        text = sum(sizes) - sizes[1]
        self.register_buffer("hidden", (places >= text + words)[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kinds = x.split(self.sizes, 1)
        made = [qkv(norm(part)) for qkv, norm, part in zip(self.qkv, self.norms, kinds, strict=True)]
        q, k, v = torch.cat(made, 1).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dots = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(self.hidden, -torch.inf)
        y = (dots.softmax(-1) @ v).transpose(1, 2).flatten(2).split(self.sizes, 1)
        return torch.cat([part + out(each) for part, out, each in zip(kinds, self.outs, y, strict=True)], 1)


class Spans(Attention):
    """MQSA: queries are means of the last items; causal."""

    def __init__(self, dim: int, heads: int, span: int) -> None:
        super().__init__(dim, heads)
        self.span = span

    def forward(self, x: Tensor) -> Tensor:
        items = functional.pad(x, (0, 0, self.span - 1, 0)).unfold(1, self.span, 1).sum(-1)
        count = torch.arange(1, x.shape[1] + 1).clamp(max=self.span)[:, None]
        q = self.q(self.norm(items / count)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y.transpose(1, 2).flatten(2))


class Decoder(nn.Module):
    """OAT: an encoder of objects; steps that see those before, and all objects; a score for each object."""

    def __init__(self, grid: tuple[int, int], dim: int, heads: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.grid, self.patches = grid, nn.Conv2d(3, dim, PATCH, PATCH)
        options = {"activation": "gelu", "batch_first": True, "norm_first": True}
        self.encoder = nn.TransformerEncoderLayer(dim, heads, hidden, **options)
        self.decoder = nn.TransformerDecoderLayer(dim, heads, hidden, **options)
        self.history, self.score = nn.Parameter(torch.randn(1, steps, dim)), nn.Linear(dim, dim)

    def forward(self, pictures: Tensor) -> Tensor:
        objects = self.encoder(self.patches(pictures).flatten(2).mT)
        later = nn.Transformer.generate_square_subsequent_mask(self.history.shape[1])
        steps = self.decoder(self.history.expand(len(pictures), -1, -1), objects, tgt_mask=later)
        return self.score(steps) @ objects.mT


class Repositioned(Seen):
    """IR-Diffusion: a subject sees itself and its place in the other picture, and no other subject."""

    table: Tensor

    def __init__(self, dim: int, heads: int, side: int) -> None:
        places = torch.arange(side * 2 * side).reshape(side, 2 * side)
        half = side // 2
        boxes = [(slice(0, half), slice(0, half)), (slice(half, side), slice(side, side + half))]
        subject = torch.zeros_like(places)
        for number, box in enumerate(boxes, 1):
            subject[box] = number
        picture = places % (2 * side) // side
        goal = torch.cat([places[box].flatten() for box in boxes])
        subject, picture = subject.flatten(), picture.flatten()
        alike = (subject[:, None] == subject) | (subject[:, None] * subject == 0)
        moved = picture[:, None] == picture[goal]
        super().__init__(dim, heads, torch.cat([alike & (picture[:, None] == picture), moved], 1))
        self.register_buffer("table", goal.roll(half * half), persistent=False)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (torch.cat([part, part[:, :, self.table]], 2) for part in (k, v))
        return super().attend(q, k, v)


def causal(tokens: int) -> Tensor:
    """Each token sees those before it."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def mutual(image: int, text: int) -> Tensor:
    """AKI: causal, and image tokens see the question."""
    mask = causal(image + text)
    mask[:image, image:] = True
    return mask


def sharded(tokens: int, block: int, heads: int, local: int, stride: int) -> Tensor:
    """S2: causal blocks that are near, or of the head's shard."""
    number = torch.arange(tokens) // block
    back = number[:, None] - number
    shards = [(number + head) % stride == 0 for head in range(heads)]
    return torch.stack([((back < local) | shard) & causal(tokens) for shard in shards])


def recent(tokens: int, prefix: int, local: int) -> Tensor:
    """The first tokens, and the last ones."""
    place = torch.arange(tokens)
    return causal(tokens) & ((place < prefix) | (place[:, None] - place < local))


def segvg() -> nn.Module:
    """20 x 20 patches, 40 words of which 24 are there, 6 objects; the MLP of DETR behind."""
    sizes = (20 * 20, 40, 6)  # words before objects: the joined prompt
    layers = Kinds(256, 8, (400, 6, 40), 24), Mlp(256, 2048)
    return Model((20, 20), 256, *layers, prompt=sum(sizes[1:]))


SHAPES: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "gna-14": (
        "196 tokens, windows of 7 x 7, stride 7, width 256, 8 heads",
        lambda: Model((14, 14), 256, Blocked(256, 8, 14, 7), Mlp(256, 768)),
    ),
    "gna-28": (
        "784 tokens, windows of 7 x 7, stride 7, width 128, 4 heads",
        lambda: Model((28, 28), 128, Blocked(128, 4, 28, 7), Mlp(128, 384)),
    ),
    "fna-14": (
        "196 tokens, windows of 7 x 7, width 256, 8 heads (NAT's third stage)",
        lambda: Model((14, 14), 256, Neighbors(256, 8, 14, 7), Mlp(256, 768)),
    ),
    "fna-28": (
        "784 tokens, windows of 7 x 7, width 128, 4 heads (NAT's second stage)",
        lambda: Model((28, 28), 128, Neighbors(128, 4, 28, 7), Mlp(128, 384)),
    ),
    "gna-28-2": (
        "784 tokens, windows of 8 x 8, stride 2, width 128, 4 heads",
        lambda: Model((28, 28), 128, Neighbors(128, 4, 28, 8, 2), Mlp(128, 384)),
    ),
    "prefix-1024": (
        "1,024 tokens, the first 32 and the last 128, width 768, 12 heads",
        lambda: Model((32, 32), 768, Seen(768, 12, recent(1024, 32, 128)), Mlp(768, 3072)),
    ),
    "s2-768": (
        "1,024 of its 8,192 tokens, blocks of 64, every 8th and the last 2, width 768, 12 heads",
        lambda: Model((32, 32), 768, Seen(768, 12, sharded(1024, 64, 12, 2, 8)), Mlp(768, 3072)),
    ),
    "aki-4b": (
        "144 tokens of an image, 48 of a question, width 3,072, 32 heads",
        lambda: Model((12, 12), 3072, Seen(3072, 32, mutual(144, 48)), prompt=48),
    ),
    "ee-mllm-7b": (
        "576 tokens of an image, 64 of text, width 4,096, 32 heads",
        lambda: Model((24, 24), 4096, Aligned(4096, 32, 576, 64), prompt=64),
    ),
    "oat-512": (
        "100 objects, 16 steps, width 512, 8 heads, an encoder and a decoder layer",
        lambda: Decoder((10, 10), 512, 8, 2048, 16),
    ),
    "segvg-256": ("400 patches, 40 words, 6 objects, width 256, 8 heads", segvg),
    "mqsa-ted-64": (
        "50 items, means of 4, width 64, 2 heads",
        lambda: Model((5, 10), 64, Spans(64, 2, 4), Mlp(64, 256)),
    ),
    "ir-diffusion-xl": (
        "two pictures of 16 x 16 tokens, width 1,280, 20 heads",
        lambda: Model((16, 32), 1280, Repositioned(1280, 20, 16)),
    ),
    "vhr-7b": (
        "576 tokens of an image, 40 of a prompt, width 4,096, 32 heads",
        lambda: Model((24, 24), 4096, Louder(4096, 32, causal(616)), prompt=40),
    ),
    "soft-injection-8b": (
        "64 tokens, width 4,096, 32 heads with 8 of keys",
        lambda: Model((8, 8), 4096, Injected(4096, 32, causal(64), 8)),
    ),
}
"""Each block by name: its shape in words, and the model."""


def prepared(name: str) -> tuple[Graph, np.ndarray]:
    """The integer Graph of a block, and a picture in its integers."""
    torch.manual_seed(0)
    model = SHAPES[name][1]().eval()
    images = pictures(model.grid, CALIBRATION + 1)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        graph = quantize(capture(model, images[:1]), images[:CALIBRATION].numpy()).graph
    return graph, quantize_images(images[CALIBRATION:].numpy(), graph.input_type)[0]


def pictures(grid: tuple[int, int], count: int) -> Tensor:
    """Random pictures of so many patches."""
    rows, columns = grid
    random = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, PATCH * rows, PATCH * columns, generator=random)
