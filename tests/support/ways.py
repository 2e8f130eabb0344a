# SPDX-License-Identifier: Apache-2.0
"""Small models whose tokens are made in any way, read and compared in floats and in a program's integers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize

ARRAY = ArrayShape(rows=4, columns=4, depth=4)


class Model(nn.Module):
    """Patches [1, T, N] of 4 x 4 pixels, `way`, a norm, the mean, the classes."""

    def __init__(self, way: Callable[[Any, Tensor], Tensor], width: int) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.way = way
        self.embed, self.norm, self.head = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width), nn.Linear(width, 5)

    def tokens(self, image: Tensor) -> Tensor:
        """What `way` takes."""
        return self.embed(image).flatten(2).mT

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.norm(self.way(self, self.tokens(image))).mean(1))


def pictures(shape: tuple[int, int, int]) -> np.ndarray:
    """Six random images."""
    return np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)


def check_floats(model: nn.Module, images: np.ndarray) -> Graph:
    """The Graph of a model; its results are the model's."""
    graph = capture(model.eval(), torch.from_numpy(images[:1]))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.from_numpy(images[:2]).double()).numpy()
    found = evaluate(graph, images[:2])[graph.output]
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=0, atol=1e-5)
    return graph


def check_program(graph: Graph, images: np.ndarray, array: ArrayShape = ARRAY) -> None:
    """Every tensor of the program is that of the integer Graph."""
    integer = quantize(graph, images).graph
    lowered, image = lower(integer, array), quantize_images(images[:1], integer.input_type)[0]
    pixels = lowered.program.input.pack(image, array.columns)
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(pixels)
    assert trace.compare(lowered.program, run.records, evaluate(integer, image)) is None
