# SPDX-License-Identifier: Apache-2.0
"""Rows of tokens in any order, left out, repeated, averaged, between constants: the Graph is the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from frontend.refused import IMAGE, TOKENS, WIDTH, Tiny, refusal
from support.variants import seeded
from torch import Tensor

from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.ops import Gather, Matmul

ORDER = torch.tensor([3, 0, 5, 5, 1])
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 1.0, 3.0])[:, None]


def _between(x: Tensor) -> Tensor:
    before, behind = torch.full((1, 2, WIDTH), 0.5), torch.arange(float(WIDTH)).expand(1, 1, -1) / 9
    return torch.cat([before, x[:, :3], behind, x[:, 3:]], 1)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "behind": lambda x: torch.cat([x, torch.ones(1, 2, WIDTH)], 1),
    "between": _between,
    "reversed": lambda x: x.flip(1),
    "rolled": lambda x: x.roll(2, 1),
    "every other": lambda x: x[:, ::2],
    "table": lambda x: x[:, ORDER],
    "strided grid": lambda x: x.reshape(1, 2, 3, WIDTH)[:, :, ::2].flatten(1, 2),
    "windows": lambda x: x.unfold(1, 3, 1).mean(-1),
    "padded windows": lambda x: torch.cat([x.new_zeros(1, 2, WIDTH), x], 1).unfold(1, 3, 1).mean(-1),
    "weighed": lambda x: x[:, ORDER] * WEIGHTS,
}


class Moved(Tiny):
    """The tokens are moved in front of the first block, or behind it."""

    def __init__(self, way: Callable[[Tensor], Tensor], *, late: bool) -> None:
        super().__init__()
        self.way, self.late = way, late
        self.positions = torch.nn.Parameter(torch.zeros(1, TOKENS, WIDTH))

    def pool(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x)[:, -1])

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image) + self.positions
        x = x if self.late else self.way(x)
        x = x + self.attend(self.norm1(x))
        x = self.way(x) if self.late else x
        return self.pool(x + self.mlp(self.norm2(x)))


@pytest.mark.parametrize(
    ("name", "late"), [(name, late) for name in WAYS for late in (False, True) if late or name != "weighed"]
)
def test_moved_tokens(name: str, late: bool) -> None:
    model = seeded(Moved(WAYS[name], late=late))
    images = torch.randn(2, *IMAGE.shape[1:], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = torch.cat([model(image[None]) for image in images]).numpy()
    graph = capture(model, images[:1])
    assert any(isinstance(node.op, Matmul | Gather) for node in graph)
    found = evaluate(graph, images.numpy())[graph.output].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


class Mixed(Tiny):
    """Channels of two tokens in one row."""

    def embed(self, image: Tensor) -> Tensor:
        x = super().embed(image)
        return torch.cat([x[..., :6], x.flip(1)[..., 6:]], -1)


def test_rows_of_several_tokens_are_refused() -> None:
    assert any("must be patches or constants" in problem.what for problem in refusal(Mixed().eval()))
