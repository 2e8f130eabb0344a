# SPDX-License-Identifier: Apache-2.0
"""Rows that are parts of tokens (heads, windows of a token's elements): several make one row of a token."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hlsgen.frontend.rules.arrange import lies
from hlsgen.frontend.rules.terms import Refusal, Value

LARGEST = 1 << 24
"""Weights of a layer on whole tokens, at most."""


@dataclass(frozen=True)
class Parts:
    """Rows [T, count * K] of tokens out of rows [T * count, K] of parts, and the order of the parts."""

    rows: Value
    count: int
    order: torch.Tensor

    def weight(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights [N, K] of each part as those of the token, [count * N, count * K]."""
        if self.count**2 * weight.numel() > LARGEST:
            raise Refusal(
                f"a linear layer reads {self.count} parts of each token",
                why=f"the layer on whole tokens would have more than {LARGEST:,} weights",
            )
        return torch.kron(torch.eye(self.count, dtype=weight.dtype), weight)

    def apart(self, result: Value) -> Value:
        """The result [T, count * N] as [T * count, N], the parts where they were."""
        back = torch.argsort(self.order)
        return result.map(lambda ids: ids.reshape(len(back), -1)[back])


def parts(value: Value) -> Parts | None:
    """The parts that rows [R, K] are of the tokens of one term; None where they are no parts, or whole."""
    ids, shape = value.ids, value.term.shape
    if len(shape) != 2 or not ids.numel() or int(ids.min()) < 0 or lies(ids, shape[-1]):
        return None
    token = ids // shape[-1]
    if not bool((token == token[:, :1]).all()):
        return None
    order = torch.argsort(token[:, 0], stable=True)
    count = len(ids) // len(token[:, 0].unique())
    if count < 2 or len(ids) % count:
        return None
    rows = value.map(lambda part: part[order].reshape(len(ids) // count, -1))
    return Parts(rows, count, order) if lies(rows.ids, shape[-1]) else None
