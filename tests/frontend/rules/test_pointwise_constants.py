# SPDX-License-Identifier: Apache-2.0
"""Functions of values that have a constant for each token: no weight of a layer can take it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import ways
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.ops import Activation

IMAGE, TOKENS, WIDTH, HIDDEN = (3, 12, 12), 9, 12, 20
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


class Model(ways.Model):
    """A hidden layer, and constants of tokens."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__(way, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.positions = nn.Parameter(torch.randn(TOKENS, WIDTH))
        self.hidden = nn.Parameter(torch.randn(TOKENS, HIDDEN))
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))


def mlp(model: Model, x: Tensor) -> Tensor:
    return model.down(torch.relu(model.up(x)))


def with_token(model: Model, x: Tensor) -> Tensor:
    x = torch.cat([model.token.expand(len(x), -1, -1), x + model.positions], 1)
    return x + mlp(model, x)


def by_heads(model: Model, x: Tensor) -> Tensor:
    parts = model.up(model.norm(x)).reshape(len(x), TOKENS, 4, -1).transpose(1, 2)
    parts = functional.gelu(parts + model.hidden.reshape(TOKENS, 4, -1).transpose(0, 1))
    return x + model.down(parts.transpose(1, 2).flatten(2))


WAYS: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "positions before a layer": lambda m, x: mlp(m, x + m.positions),
    "and beside it": lambda m, x: (x := x + m.positions) + mlp(m, x),
    "positions alone": lambda m, x: m.norm(torch.tanh(x + m.positions)),
    "a class token": with_token,
    "behind a layer": lambda m, x: x + m.down(functional.gelu(m.up(m.norm(x)) + m.hidden)),
    "by heads": by_heads,
    "channels first": lambda m, x: x + m.down(torch.relu((m.up(m.norm(x)).mT + m.hidden.mT).mT)),
    "behind a sum": lambda m, x: torch.relu(x + mlp(m, m.norm(x)) + m.positions),
    "written out": lambda m, x: m.down((y := m.up(m.norm(x)) + m.hidden) * torch.sigmoid(y)),
    "behind a function": lambda m, x: m.norm(torch.relu(x) + m.positions),
    "between functions": lambda m, x: torch.tanh(torch.relu(m.up(m.norm(x))) + m.hidden)[..., :WIDTH] + x,
    "clamped in place": lambda m, x: m.down(m.up(m.norm(x)).add_(m.hidden).clamp_(-1, 2)),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_program_of_it_is_equal(name: str) -> None:
    images = ways.pictures(IMAGE)
    graph = ways.check_floats(Model(WAYS[name]), images)
    count = sum(isinstance(node.op, Activation) for node in graph)
    assert count == (2 if name in ("behind a sum", "between functions") else 1)
    ways.check_program(graph, images)
