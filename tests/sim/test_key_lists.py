# SPDX-License-Identifier: Apache-2.0
"""Attention by key lists: golden = C++ = RTL, every tensor, stalled and not, and the cycle model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.executions import check_cpp, check_rtl
from support.token_graphs import integers

from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape

CASES = [
    ((48, 8, 2), (2, 4, 2, 2)),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ((96, 16, 2), (4, 4, 4, 1)),
            ((96, 16, 2), (4, 4, 4, 2)),
            ((90, 18, 3), (3, 8, 2, 1)),
            ((97, 16, 2), (4, 4, 8, 4)),
            ((61, 24, 2), (4, 8, 16, 2)),
        )
    ),
]


def _lowered(size: tuple[int, ...], shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, ring_bytes=512)
    lowered = lower(integers("scattered", *size)[0], array)
    assert any(command.key_runs for command in lowered.program.commands)
    return lowered


@pytest.mark.parametrize(("size", "shape"), CASES)
def test_rtl(size: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers("scattered", *size)
    check_rtl(graph, image, _lowered(size, shape), tmp_path, within=0.002)


@pytest.mark.parametrize(("size", "shape"), CASES)
def test_cpp(size: tuple[int, ...], shape: tuple[int, ...], cpp_folder: Path) -> None:
    graph, image = integers("scattered", *size)
    check_cpp(graph, image, _lowered(size, shape), cpp_folder)
