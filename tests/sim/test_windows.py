# SPDX-License-Identifier: Apache-2.0
"""Attention by windows: golden = C++ = RTL, every tensor, stalled and not, at row widths; the cycle model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.executions import check_cpp, check_rtl
from support.token_graphs import integers

from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape

SIZE = (54, 16, 2)
SHAPES = [
    (4, 4, 8, 2),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((4, 4, 4, 1), (3, 8, 2, 1), (4, 8, 4, 4))),
]


def _lowered(shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, bus_bytes=4)
    lowered = lower(integers("windows", *SIZE)[0], array)
    p = lowered.program.parameters
    assert (p.windows, p.score_slots) == (1, 3)
    assert p.addend_words > 1
    assert any(command.kept_addends for command in lowered.program.commands)
    return lowered


@pytest.mark.parametrize("shape", SHAPES)
def test_rtl(shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers("windows", *SIZE)
    lowered = _lowered(shape)
    shown = {view.tensor for view in lowered.program.views}
    assert {node.name for node in graph if node.type.shape[-1] == SIZE[0]} <= shown
    check_rtl(graph, image, lowered, tmp_path)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpp(shape: tuple[int, ...], cpp_folder: Path) -> None:
    graph, image = integers("windows", *SIZE)
    check_cpp(graph, image, _lowered(shape), cpp_folder)
