# SPDX-License-Identifier: Apache-2.0
"""Equal mathematics is accepted however it is written; what only looks equal is right, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.mixtures import MIXTURES
from support.spellings import SPELLINGS
from support.variants import same, seeded
from torch import nn

from hlsgen.frontend.capture import capture


def pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, 2, 4, 6)).astype(np.float32)


def trained(model: nn.Module) -> nn.Module:
    """Seeded weights, and statistics of batch norms."""
    random = torch.Generator().manual_seed(5)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.randn(norm.num_features, generator=random)
            norm.running_var = 0.5 + torch.rand(norm.num_features, generator=random)
    return seeded(model)


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_computes_the_same(name: str) -> None:
    model = trained(SPELLINGS[name]())
    same(model, capture(model, pictures(1)), pictures())


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_computes_the_same(name: str) -> None:
    model = trained(MIXTURES[name]())
    graph = capture(model, pictures(1))
    same(model, graph, pictures())
    assert [type(node.op).__name__ for node in graph].count("Combine") == 1
