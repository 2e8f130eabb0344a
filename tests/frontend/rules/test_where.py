# SPDX-License-Identifier: Apache-2.0
"""Constants in the place of tokens, where a constant mask is true."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize

IMAGE, TOKENS, WIDTH = (3, 12, 12), 9, 8
ARRAY = ArrayShape(rows=4, columns=4, depth=4)
SOME = (torch.arange(TOKENS) % 4 == 1)[:, None]
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


class Model(nn.Module):
    """Patches [1, T, N], `way`, a norm, the mean, the classes."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.way = way
        self.embed, self.layer = nn.Conv2d(3, WIDTH, 4, 4), nn.Linear(WIDTH, WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)
        self.token, self.zero = nn.Parameter(torch.randn(WIDTH)), nn.Parameter(torch.zeros(WIDTH))

    def branch(self, x: Tensor) -> Tensor:
        return self.layer(self.norm(x))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.norm(self.way(self, self.embed(image).flatten(2).mT)).mean(1))


WAYS: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "zeros": lambda m, x: x + m.branch(x).masked_fill(SOME, 0.0),
    "in place": lambda m, x: x + m.branch(x).masked_fill_(SOME, 0.0),
    "a number": lambda m, x: m.branch(x).masked_fill(SOME, 0.5),
    "a mask token": lambda m, x: torch.where(SOME, m.token, x) + m.branch(x),
    "tokens kept": lambda m, x: x + torch.where(~SOME, m.branch(x), 0.0),
    "channels of patches": lambda m, x: m.branch(x.masked_fill(torch.arange(WIDTH) < 3, 0.25)),
    "behind a function": lambda m, x: x + m.layer(torch.relu(m.branch(x)).masked_fill(SOME, -1.0)),
    "by blocks": lambda m, x: m.branch(torch.where(SOME, m.token, torch.where(~SOME, x, m.zero))),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_program_of_it_is_equal(name: str) -> None:
    model = Model(WAYS[name]).eval()
    images = np.random.default_rng(0).normal(size=(6, *IMAGE)).astype(np.float32)
    graph = capture(model, torch.from_numpy(images[:1]))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.from_numpy(images[:2]).double()).numpy()
    np.testing.assert_allclose(evaluate(graph, images[:2])[graph.output][:, 0], wanted, rtol=0, atol=1e-5)
    integer = quantize(graph, images).graph
    lowered, image = lower(integer, ARRAY), quantize_images(images[:1], integer.input_type)[0]
    pixels = lowered.program.input.pack(image, ARRAY.columns)
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(pixels)
    assert trace.compare(lowered.program, run.records, evaluate(integer, image)) is None


REFUSED: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "minus infinity": lambda m, x: m.branch(x).masked_fill(SOME, -torch.inf).relu(),
    "a choice of two": lambda m, x: torch.where(SOME, x, m.branch(x)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_constant_or_not_finite(name: str) -> None:
    with pytest.raises(UnsupportedModel, match="a mask that hides tokens is not supported"):
        capture(Model(REFUSED[name]).eval(), torch.randn(1, *IMAGE))
