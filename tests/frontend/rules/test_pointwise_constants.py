# SPDX-License-Identifier: Apache-2.0
"""Functions of values that have a constant for each token: no weight of a layer can take it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import Activation
from hlsgen.quantization import quantize

IMAGE, TOKENS, WIDTH, HIDDEN = (3, 12, 12), 9, 12, 20
ARRAY = ArrayShape(rows=4, columns=4, depth=4)
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


class Model(nn.Module):
    """Patches [1, T, N], `way`, the mean, the classes."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.way = way
        self.embed = nn.Conv2d(3, WIDTH, 4, 4)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)
        self.positions = nn.Parameter(torch.randn(TOKENS, WIDTH))
        self.hidden = nn.Parameter(torch.randn(TOKENS, HIDDEN))
        self.factors = nn.Parameter(torch.rand(TOKENS, 1) + 0.5)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.way(self, self.embed(image).flatten(2).mT).mean(1))


def mlp(model: Model, x: Tensor) -> Tensor:
    return model.down(torch.relu(model.up(x)))


def with_token(model: Model, x: Tensor) -> Tensor:
    x = torch.cat([model.token, x + model.positions], 1)
    return x + mlp(model, x)


def by_heads(model: Model, x: Tensor) -> Tensor:
    parts = model.up(model.norm(x)).reshape(1, TOKENS, 4, -1).transpose(1, 2)
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


def captured(name: str) -> tuple[Model, Graph, np.ndarray]:
    model = Model(WAYS[name]).eval()
    images = np.random.default_rng(0).normal(size=(6, *IMAGE)).astype(np.float32)
    return model, capture(model, torch.from_numpy(images[:1])), images


@pytest.mark.parametrize("name", WAYS)
def test_floats(name: str) -> None:
    model, graph, images = captured(name)
    count = sum(isinstance(node.op, Activation) for node in graph)
    assert count == (2 if name in ("behind a sum", "between functions") else 1)
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.from_numpy(images[:1]).double()).numpy()
    np.testing.assert_allclose(evaluate(graph, images[:1])[graph.output][:, 0], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", WAYS)
def test_integers(name: str) -> None:
    """Within 2 % of the floats, and the machine's program equals them."""
    _, graph, images = captured(name)
    integer = quantize(graph, images).graph
    image = quantize_images(images[:1], integer.input_type)[0]
    golden, wanted = evaluate(integer, image), evaluate(graph, images[0])[graph.output]
    found = golden[integer.output] * integer.type_of(integer.output).scale
    assert np.abs(found - wanted).max() <= 0.02 * np.abs(wanted).max()
    lowered = lower(integer, ARRAY)
    pixels = lowered.program.input.pack(image, ARRAY.columns)
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(pixels)
    assert trace.compare(lowered.program, run.records, golden) is None
