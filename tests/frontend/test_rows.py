# SPDX-License-Identifier: Apache-2.0
"""Tokens instead of pixels: rows of one input are words by number and features of a second input."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import QuantizationWarning
from hlsgen.examples.attention.host import seeded
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize

WORDS, TABLE, REGIONS, FEATURES, WIDTH = 5, 9, 4, 7, 24


class Grounding(nn.Module):
    """As its authors have it: numbers of words and features of regions, each kind with its projection."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.regions = nn.Embedding(TABLE, WIDTH), nn.Linear(FEATURES, WIDTH)
        self.positions = nn.Parameter(torch.zeros(WORDS, WIDTH))
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, 3, 40, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def rest(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layer(x))[:, 0])

    def forward(self, words: Tensor, regions: Tensor) -> Tensor:
        return self.rest(torch.cat([self.embedding(words) + self.positions, self.regions(regions)], 1))


class OfRows(nn.Module):
    """The same on rows [B, 1, T, TABLE + FEATURES]: the table and the projection side by side."""

    def __init__(self, model: Grounding) -> None:
        super().__init__()
        self.model, self.rows = model, nn.Linear(TABLE + FEATURES, WIDTH, bias=False)
        with torch.no_grad():
            self.rows.weight.copy_(torch.cat([model.embedding.weight.T, model.regions.weight], 1))

    def forward(self, image: Tensor) -> Tensor:
        kinds = torch.cat([self.model.positions, self.model.regions.bias.expand(REGIONS, -1)])
        return self.model.rest(self.rows(image[:, 0]) + kinds)


def rows(words: Tensor, regions: Tensor) -> np.ndarray:
    """What the host writes for numbers [B, WORDS] and features [B, REGIONS, FEATURES]."""
    first = functional.pad(functional.one_hot(words, TABLE).float(), (0, FEATURES))
    return torch.cat([first, functional.pad(regions, (TABLE, 0))], 1)[:, None].numpy()


def test_words_by_number_and_a_second_input_are_rows() -> None:
    model = Grounding()
    seeded(model)
    random = torch.Generator().manual_seed(2)
    words = torch.randint(TABLE, (24, WORDS), generator=random)
    regions = torch.randn(24, REGIONS, FEATURES, generator=random)
    images = rows(words, regions)
    graph = capture(OfRows(model).eval(), images[:1])
    with torch.no_grad():
        wanted = model(words, regions).numpy()
    found = evaluate(graph, images)[graph.output].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        integer = quantize(graph, images).graph
    pixels = quantize_images(images[:1], integer.input_type)[0]
    lowered = lower(integer, ArrayShape(rows=4, columns=8, depth=4))
    program = lowered.program
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(pixels, 8))
    assert trace.compare(program, run.records, evaluate(integer, pixels)) is None
