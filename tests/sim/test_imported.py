# SPDX-License-Identifier: Apache-2.0
"""A model that was quantized elsewhere: golden = C++ = RTL, every tensor."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support.executions import check_cpp, check_rtl
from support.quantized_models import SHAPE, Small, pictures

from hlsgen.frontend.capture import capture
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.quantization import Quantized, quantize


@pytest.fixture(scope="module")
def made() -> tuple[Quantized, Lowered]:
    graph = capture(Small().eval(), torch.zeros(1, *SHAPE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = quantize(graph, pictures(16))
    array = ArrayShape(rows=4, columns=4, depth=4, row_width=1, ring_bytes=512)
    return quantized, lower(quantized.graph, array)


def test_rtl(made: tuple[Quantized, Lowered], tmp_path: Path) -> None:
    quantized, lowered = made
    check_rtl(quantized.graph, _image(quantized), lowered, tmp_path)


def test_cpp(made: tuple[Quantized, Lowered], tmp_path: Path) -> None:
    quantized, lowered = made
    check_cpp(quantized.graph, _image(quantized), lowered, tmp_path)


def _image(quantized: Quantized) -> np.ndarray:
    return quantized.quantize_input(pictures(1, seed=3))[0].astype(np.int64)
