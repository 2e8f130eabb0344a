# SPDX-License-Identifier: Apache-2.0
"""CaiT: LayerScale, talking heads, and a class token that comes late and asks alone.

Touvron et al., "Going deeper with Image Transformers", 2021.

    S_g = sum_h L[g,h] q_h k_h.T / sqrt(d) + l_g;   A = softmax(S);   A'_g = sum_h W[g,h] A_h + w_g
    x = x + gamma_1 * proj(A' V),   x = x + gamma_2 * mlp(x)
    class layers: u = [c; x],  c = c + gamma_1 * CA(LN(u)),  one query, keys and values of all u
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, HEADS, WIDTH, Attention, Mlp, Tokens, seeded


class TalkingHeads(Attention):
    """Attention whose heads are mixed before and behind the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.proj_l, self.proj_w = nn.Linear(HEADS, HEADS), nn.Linear(HEADS, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        attn = (q * self.scale) @ k.transpose(-2, -1)
        attn = self.proj_l(attn.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        attn = attn.softmax(dim=-1)
        attn = self.proj_w(attn.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.proj((attn @ v).transpose(1, 2).reshape(x.shape))


class ClassAttention(nn.Module):
    """[B, 1 + T, width] -> [B, 1, width]: the first token asks."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = (WIDTH // HEADS) ** -0.5
        self.q, self.k, self.v, self.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def heads(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], HEADS, -1).permute(0, 2, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads(self.q(x[:, :1])), self.heads(self.k(x)), self.heads(self.v(x))
        attn = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(len(x), 1, WIDTH))


class Layer(nn.Module):
    """A block with LayerScale; a class layer where its attention is class attention."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn, self.mlp = attention, Mlp()
        self.gamma_1, self.gamma_2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor, token: Tensor | None = None) -> Tensor:
        if token is None:
            x = x + self.gamma_1 * self.attn(self.norm1(x))
            return x + self.gamma_2 * self.mlp(self.norm2(x))
        token = token + self.gamma_1 * self.attn(self.norm1(torch.cat((token, x), dim=1)))
        return token + self.gamma_2 * self.mlp(self.norm2(token))


class CaiT(nn.Module):
    """Blocks of talking heads, then class layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cls_token = Tokens(), nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.blocks = nn.ModuleList(Layer(TalkingHeads()) for _ in range(2))
        self.class_blocks = nn.ModuleList(Layer(ClassAttention()) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        token = self.cls_token.expand(len(x), -1, -1)
        for block in self.class_blocks:
            token = block(x, token)
        return self.head(self.norm(torch.cat((token, x), dim=1))[:, 0])


def model() -> nn.Module:
    """The system, small."""
    return seeded(CaiT())
