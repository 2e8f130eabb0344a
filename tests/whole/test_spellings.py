# SPDX-License-Identifier: Apache-2.0
"""Spellings through the whole compiler: every tensor equals golden, on the program, in C++ and in RTL."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from support.mixtures import SigmoidOverSum
from support.spellings import SPELLINGS, LearnedQuery
from support.variants import Tiny, seeded
from torch import Tensor
from torch.nn import functional

import hlsgen
from hlsgen import Design

IMAGES = np.random.default_rng(3).normal(size=(32, 2, 4, 6)).astype(np.float32)


class All(LearnedQuery):
    """Post-norm, a parallel block, SiLU, an expression, a learned query, a factor on the stream."""

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.up(x)))

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed((image - 0.25) / 0.5))
        x = self.norm1(x + self.attend(x)) * 1.5
        y = self.norm2(x)
        x = x + (self.attend(y) + self.down(functional.relu(self.up(y)).square()))
        return self.pool(x)


@functools.cache
def design(make: type[Tiny]) -> Design:
    graph = hlsgen.capture(seeded(make()), IMAGES[:1])
    return hlsgen.compile(hlsgen.quantize(graph, IMAGES), board="zcu102", array="4x8x8")


@pytest.mark.parametrize("make", [All, SigmoidOverSum])
def test_the_program(make: type[Tiny]) -> None:
    assert design(make).simulate("program", samples=2).images == 2


@pytest.mark.slow
@pytest.mark.parametrize("make", [All, SigmoidOverSum])
@pytest.mark.parametrize("level", ["csim", "rtl"])
def test_the_hardware(make: type[Tiny], level: str) -> None:
    assert design(make).simulate(level, samples=2).images == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
@pytest.mark.parametrize("name", SPELLINGS)
def test_the_program_of_every_spelling(name: str) -> None:
    graph = hlsgen.capture(seeded(SPELLINGS[name]()), torch.from_numpy(IMAGES[:1]))
    built = hlsgen.compile(hlsgen.quantize(graph, IMAGES), board="zcu102", array="4x8x8")
    assert built.simulate("program", samples=2).images == 2
