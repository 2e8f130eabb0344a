# SPDX-License-Identifier: Apache-2.0
"""An activation whose outlying channels stand apart: golden = C++ = RTL, every tensor, stalled and not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from support.executions import check_cpp, check_rtl
from support.outliers import far_images, far_mlp

from hlsgen.ir import Graph, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.quantization import quantize

ARRAY = ArrayShape(rows=4, columns=4, depth=4, ring_bytes=4096, row_width=2)


@cache
def _model() -> tuple[Graph, np.ndarray]:
    """With layers that the quantizer split; an image."""
    graph = quantize(far_mlp(9.0), far_images()).graph
    assert {"fc1_outliers", "gelu_outliers", "fc2_outliers"} <= {node.name for node in graph}
    return graph, quantize_images(far_images(1, seed=4), graph.input_type)[0].astype(np.int64)


def test_rtl(tmp_path: Path) -> None:
    """The cycle model knows the commands of narrow layers."""
    graph, image = _model()
    check_rtl(graph, image, lower(graph, ARRAY), tmp_path)


def test_cpp(cpp_folder: Path) -> None:
    graph, image = _model()
    check_cpp(graph, image, lower(graph, ARRAY), cpp_folder)
