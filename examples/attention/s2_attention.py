# SPDX-License-Identifier: Apache-2.0
"""S2-Attention: each head sees near blocks, and every few blocks another shard of those before.

Lin et al., "S2-Attention: Hardware-Aware Context Sharding Among Attention Heads", 2024.

    query block r of head h sees key block c <= r where  r - c < local  or  (c + h step + o) mod stride = 0

The published host is a language model. This one has patches for its words, and reads the last token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, IMAGE, Block, Causal, Masked, causal, seeded

PATCH, BLOCK = 2, 4
TOKENS = (IMAGE // PATCH) ** 2


def sharded(tokens: int, block: int, local: int, stride: int, step: int = 1, offset: int = 0) -> Tensor:
    """The mask [heads, T, T]."""
    at = torch.arange(tokens) // block
    query, key = at[:, None], at[None, :]
    near = query - key < local
    heads = torch.arange(HEADS)[:, None, None]
    shard = (key + heads * step + offset) % stride == 0
    return (near | shard) & causal(tokens)


def model() -> nn.Module:
    """The system, small."""
    mask = sharded(TOKENS, BLOCK, local=2, stride=4)
    return seeded(Causal(Block(Masked(mask)), Block(Masked(mask)), patch=PATCH))
