# SPDX-License-Identifier: Apache-2.0
"""Systems written a second time from their papers are read, and equal in floats and in integers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from support import (
    retold,
    retold_biases,
    retold_masks,
    retold_picked,
    retold_registers,
    retold_written,
)
from support.retold import IMAGE, drawn
from support.ways import check_program

from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.lower.size import ArrayShape

ARRAY = ArrayShape(rows=8, columns=8, depth=8)
SYSTEMS = {
    name: model
    for told in (retold, retold_masks, retold_biases, retold_picked, retold_registers, retold_written)
    for name, model in told.systems().items()
}
ROUNDED = 3e-7
"""Of the largest result: a model computes constants in float32, and processors differ in the last place."""


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
@pytest.mark.parametrize("name", SYSTEMS)
def test_another_hand_is_read_too(name: str) -> None:
    model = drawn(SYSTEMS[name])
    images = np.random.default_rng(1).normal(size=(8, *IMAGE)).astype(np.float32)
    graph = capture(model, torch.from_numpy(images[:1]))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.from_numpy(images[:3]).double()).numpy()
    found = evaluate(graph, images[:3])[graph.output].reshape(wanted.shape)
    assert wanted.std(0).min() > 1e-2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDED * np.abs(wanted).max())
    check_program(graph, images, ARRAY)
