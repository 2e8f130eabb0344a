# SPDX-License-Identifier: Apache-2.0
"""Queries of several heads for one head of keys and values, in the spellings that models use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.variants import HEAD, WIDTH, Tiny


class Grouped(Tiny):
    """`groups` heads of keys and values, `repeats` heads of queries for each."""

    def __init__(self, groups: int = 2, repeats: int = 3) -> None:
        super().__init__()
        self.groups, self.repeats, self.heads = groups, repeats, groups * repeats
        self.q, self.k, self.v = (nn.Linear(WIDTH, n * HEAD) for n in (self.heads, groups, groups))
        self.out = nn.Linear(self.heads * HEAD, WIDTH)

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries [B, H, T, d], keys and values [B, G, T, d]."""
        made = (layer(x).unflatten(-1, (-1, HEAD)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return tuple(made)

    def attend(self, x: Tensor) -> Tensor:
        return self.out(self.contexts(*self.parts(x)).transpose(1, 2).flatten(2))

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, H, T, d]."""
        raise NotImplementedError


class Interleaved(Grouped):
    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (x.repeat_interleave(self.repeats, dim=1) for x in (k, v))
        return (q @ k.mT * HEAD**-0.5).softmax(-1) @ v


class Expanded(Grouped):
    """Llama's `repeat_kv`."""

    def repeat(self, x: Tensor) -> Tensor:
        batch, groups, tokens, size = x.shape
        wide = x[:, :, None].expand(batch, groups, self.repeats, tokens, size)
        return wide.reshape(batch, groups * self.repeats, tokens, size)

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, self.repeat(k), self.repeat(v))


class Enabled(Grouped):
    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)


class ByEinsum(Grouped):
    """The heads of a group have an axis of their own."""

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = q.unflatten(1, (self.groups, self.repeats)) * HEAD**-0.5
        weights = torch.einsum("bgrqd,bgkd->bgrqk", q, k).softmax(-1)
        return torch.einsum("bgrqk,bgkd->bgrqd", weights, v).flatten(1, 2)


class TokensFirst(Grouped):
    """Tokens before heads, as in Flax."""

    def attend(self, x: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (self.groups, self.repeats, HEAD))
        k, v = (layer(x).unflatten(-1, (self.groups, HEAD)) for layer in (self.k, self.v))
        weights = torch.einsum("btgrd,bsgd->bgrts", q, k).softmax(-1)
        return self.out(torch.einsum("bgrts,bsgd->btgrd", weights, v).flatten(2))


class Broadcast(Grouped):
    """Five axes, and the product repeats keys and values itself."""

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = q.unflatten(1, (self.groups, self.repeats))
        weights = (q @ k[:, :, None].transpose(-2, -1)).softmax(-1)
        return (weights @ v[:, :, None]).flatten(1, 2)


class SideBySide(Grouped):
    """The queries of a group's heads as rows of one product."""

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tokens = q.shape[2]
        rows = q.reshape(1, self.groups, self.repeats * tokens, HEAD)
        return ((rows @ k.mT * 0.3).softmax(-1) @ v).reshape(1, self.heads, tokens, HEAD)


class OneByEinsum(Grouped):
    """Keys and values have no axis for heads (Shazeer 2019)."""

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = torch.einsum("bhqd,bkd->bhqk", q, k[:, 0]).softmax(-1)
        return torch.einsum("bhqk,bkd->bhqd", weights, v[:, 0])


class OneBroadcast(Grouped):
    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT).softmax(-1) @ v


class WithoutSoftmax(Grouped):
    """relu(q k.T) v by head."""

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (x.repeat_interleave(self.repeats, dim=1) for x in (k, v))
        return torch.relu(q @ k.mT * 0.1) @ v


class OnlyKeys(Grouped):
    """Each head has values of its own."""

    def __init__(self, groups: int = 2, repeats: int = 3) -> None:
        super().__init__(groups, repeats)
        self.v = nn.Linear(WIDTH, self.heads * HEAD)

    def contexts(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.repeat_interleave(self.repeats, 1).mT * 0.3).softmax(-1) @ v


GROUPED: dict[str, tuple[Callable[[], Grouped], int, int]] = {
    "repeat_interleave": (Interleaved, 2, 2),
    "expand": (Expanded, 2, 2),
    "enable_gqa": (Enabled, 2, 2),
    "einsum": (ByEinsum, 2, 2),
    "tokens_first": (TokensFirst, 2, 2),
    "broadcast": (Broadcast, 2, 2),
    "side_by_side": (SideBySide, 2, 2),
    "only_keys": (OnlyKeys, 2, 0),
    "one_head": (lambda: Interleaved(1, 4), 3, 3),
    "one_head_gqa": (lambda: Enabled(1, 4), 3, 3),
    "one_head_einsum": (lambda: OneByEinsum(1, 4), 3, 3),
    "one_head_broadcast": (lambda: OneBroadcast(1, 4), 3, 3),
    "nine_for_three": (lambda: ByEinsum(3, 3), 2, 2),
    "each_its_own": (lambda: ByEinsum(4, 1), 0, 0),
}
"""Models, and how many heads more have the keys, and the values, of a head."""
