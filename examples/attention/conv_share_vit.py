# SPDX-License-Identifier: Apache-2.0
"""ConvShareViT: linear layers that are convolutions of each token as a picture, with kernels for all tokens.

Ibadulla et al., "ConvShareViT: Enhancing Vision Transformers with Convolutional Attention Mechanisms for
Free-Space Optical Accelerators", 2025.

    f(x_t) = conv2d(picture(x_t), w)        one w for every token t: the token times a Toeplitz matrix of w
    q_h, k_h, v_h = three such convolutions of the norm's result, without padding: smaller pictures
    y = f_o(concat_h softmax(q_h k_h.T / sqrt(d)) v_h),   mlp = f_2(gelu(f_1(x)))
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, WIDTH, Transformer, seeded

PICTURE = (4, 8)
KERNEL = 3
"""The picture of a token has WIDTH pixels; a kernel without padding leaves 2 x 6 of them."""


class Shared(nn.Module):
    """Tokens [B, T, K] -> [B, T, N]: pictures of `channels` channels, convolved alike."""

    def __init__(self, channels: int, results: int, padding: int = 0) -> None:
        super().__init__()
        self.channels, self.conv = channels, nn.Conv2d(channels, results, KERNEL, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        rows = PICTURE[0] if width // self.channels == WIDTH else PICTURE[0] - KERNEL + 1
        pictures = x.reshape(batch * tokens, self.channels, rows, -1)
        return self.conv(pictures).reshape(batch, tokens, -1)


class SharedAttention(nn.Module):
    """Attention whose heads are the channels of smaller pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (Shared(1, HEADS) for _ in range(3))
        self.proj = Shared(HEADS, 1, padding=KERNEL - 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class SharedBlock(nn.Module):
    """A block without a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = SharedAttention()
        self.mlp = nn.Sequential(Shared(1, 4, padding=1), nn.GELU(), Shared(4, 1, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(SharedBlock(), SharedBlock()))
