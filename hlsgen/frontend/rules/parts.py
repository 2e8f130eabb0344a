# SPDX-License-Identifier: Apache-2.0
"""Rows that are parts of tokens (heads, windows of a token's elements): several make one row of a token."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hlsgen.frontend.rules.arrange import lies, whole_rows
from hlsgen.frontend.rules.terms import Refusal, Value

LARGEST = 1 << 24
"""Weights of a layer on whole tokens, at most."""


@dataclass(frozen=True)
class Parts:
    """Rows [T, count * K] of tokens out of rows [T * count, K] of parts, and the order of the parts."""

    rows: Value
    count: int
    order: torch.Tensor
    used: torch.Tensor
    """Which columns are computed, [count * K]; the others are constants."""

    def weight(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights [N, K] of each part as those of the token, [count * N, count * K]."""
        if self.count**2 * weight.numel() > LARGEST:
            raise Refusal(
                f"a linear layer reads {self.count} parts of each token",
                why=f"the layer on whole tokens would have more than {LARGEST:,} weights",
            )
        return torch.kron(torch.eye(self.count, dtype=weight.dtype), weight)

    def computed(self) -> Value:
        """The columns that the image decides."""
        return self.rows.map(lambda ids: ids[:, self.used])

    def constant(self, weight: torch.Tensor) -> torch.Tensor | None:
        """What the other columns give, [T, count * N]; None: nothing."""
        if self.rows.offset is None or bool(self.used.all()):
            return None
        return self.rows.offset[:, ~self.used] @ weight[:, ~self.used].double().T

    def apart(self, result: Value) -> Value:
        """The result [T, count * N] as [T * count, N], the parts where they were."""
        back = torch.argsort(self.order)
        return result.map(lambda ids: ids.reshape(len(back), -1)[back])


def parts(value: Value) -> Parts | None:
    """The parts that rows [R, K] are of the tokens of one term; None where they are no parts, or whole.

    Constants may stand among the elements, at the same places of every token.
    """
    ids, shape = value.ids, value.term.shape
    if len(shape) != 2 or not ids.numel() or lies(ids, shape[-1]):
        return None
    token = torch.where(ids < 0, -1, ids // shape[-1])
    first = token.amax(1)
    if int(first.min()) < 0 or not bool(((token == first[:, None]) | (token < 0)).all()):
        return None
    order = torch.argsort(first, stable=True)
    count = len(ids) // len(first.unique())
    if len(ids) % count or (count > 1 and whole_rows(value) is not None):
        return None  # the same columns of some tokens again and again
    rows = value.map(lambda part: part[order].reshape(len(ids) // count, -1))
    used = rows.ids[0] >= 0
    alike = torch.equal(rows.ids >= 0, used.expand_as(rows.ids)) and not (count == 1 and bool(used.all()))
    computed = rows.map(lambda part: part[:, used])
    tokens = alike and (lies(computed.ids, shape[-1]) or whole_rows(computed) is not None)
    return Parts(rows, count, order, used) if tokens else None
