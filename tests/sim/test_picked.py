# SPDX-License-Identifier: Apache-2.0
"""Models whose keys are gathered, or cut into windows: golden = C++ = RTL, every tensor, stalled and not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support import retold_picked
from support.executions import check_cpp, check_runs
from support.retold import IMAGE, drawn

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape, joint
from hlsgen.lower.sizer import Sizer
from hlsgen.quantization import quantize
from hlsgen.sim import cosim

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")]
ARRAY = ArrayShape(rows=4, columns=4, depth=4, row_width=2, ring_bytes=1024)
NAMES = ("swin_by_functions", "windows_and_heads", "neighbors_gathered", "blocks_with_halo")


@cache
def integers(name: str) -> tuple[Graph, np.ndarray]:
    model = drawn(retold_picked.systems()[name])
    images = np.random.default_rng(1).normal(size=(8, *IMAGE)).astype(np.float32)
    graph = quantize(capture(model, torch.from_numpy(images[:1])), images).graph
    return graph, quantize_images(images[:1], graph.input_type)[0]


def test_rtl(tmp_path: Path) -> None:
    """One machine for all of them."""
    models = {name: integers(name) for name in NAMES}
    machine = joint([Sizer(graph).parameters(ARRAY) for graph, _ in models.values()])
    harness = cosim.build(machine, tmp_path, trace=True, quick=True)
    for graph, image in models.values():
        check_runs(harness, graph, image, lower(graph, ARRAY, machine))


@pytest.mark.parametrize("name", NAMES[:2])
def test_cpp(name: str, tmp_path: Path) -> None:
    graph, image = integers(name)
    check_cpp(graph, image, lower(graph, ARRAY), tmp_path)
