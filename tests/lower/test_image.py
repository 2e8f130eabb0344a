# SPDX-License-Identifier: Apache-2.0
"""The image is packed so that LOAD finds any patches; what it reads is what the Graph says."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.lower import lower
from hlsgen.lower.image import SHORT, input_layout
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.program import Program
from hlsgen.machine.modes.load_patches import patch_reads
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import IntegerLinear, Patches


def graph(image: tuple[int, int, int], patches: Patches, size: int = 6) -> Graph:
    """Patches and a linear layer."""
    builder = GraphBuilder("image", TensorType(image, -128, 127, 1.0))
    rows = builder.add("patches", patches, ["image"])
    width, random = builder.type_of(rows).shape[1], np.random.default_rng(2)
    op = IntegerLinear(
        weight=random.integers(-127, 128, (size, width)), bias=random.integers(-9, 9, size),
        multiplier=np.full(size, 20000), shift=np.full(size, 20), low=-32768, high=32767, scale=1.0,
    )  # fmt: skip
    return builder.finish(builder.add("linear", op, [rows]))


CASES = (
    ((3, 28, 28), Patches(patch=(14, 14), prefix=1)),
    ((3, 15, 13), Patches(patch=(7, 7), stride=(4, 4), padding=(3, 3, 3, 3))),
    ((1, 9, 7), Patches(patch=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), prefix=2)),
    ((2, 10, 11), Patches(patch=(4, 3))),  # leaves rows and columns out
    ((1, 5, 5), Patches(patch=(5, 5), stride=(1, 1), padding=(2, 2, 2, 2))),
    ((1, 6, 6), Patches(patch=(2, 2), stride=(4, 4))),  # gaps
    ((2, 4, 4), Patches(patch=(2, 2))),  # as it is
    ((3, 8, 12), Patches(patch=(4, 4), prefix=1)),  # windows are whole where words are long
    ((3, 7, 6), Patches(patch=(2, 2), stride=(1, 1), padding=(1, 1, 1, 1))),
    ((3, 9, 10), Patches(patch=(4, 4), padding=(0, 3, 1, 1))),
    ((1, 11, 9), Patches(patch=(4, 4), padding=(-1, -2, -1, 0))),  # a part of the image
    ((2, 10, 7), Patches(patch=(3, 3), stride=(2, 2), padding=(-2, 1, 1, -1))),
)


ARRAYS = ((2, 4, 4, 1), (4, 8, 2, 2), (3, 2, 8, 1), (2, 16, 4, 1), (2, 1, 4, 1))
"""Rows, columns, depth, row width."""


@pytest.mark.parametrize(("image", "patches"), CASES)
def test_every_tensor_is_equal(image: tuple[int, int, int], patches: Patches) -> None:
    model = graph(image, patches)
    pixels = np.random.default_rng(1).integers(-128, 128, image)
    golden = evaluate(model, pixels)
    for rows, columns, depth, width in ARRAYS:
        array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width)
        lowered = lower(model, array)
        program = lowered.program
        run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(pixels, columns))
        assert trace.compare(program, run.records, golden) is None, array
        assert Program.parse(str(program)) == program


def test_a_patch_of_14_pixels_is_read_word_by_word() -> None:
    model = graph((3, 56, 56), Patches(patch=(14, 14)), 96)
    array = ArrayShape(rows=8, columns=16, depth=8)
    assert input_layout(model, array).run == 16
    program = lower(model, array).program
    assert patch_reads(program.parameters, program.commands[0]) == 3 * 14


def test_a_patch_whose_lines_are_short_is_one_run() -> None:
    model, array = graph((3, 56, 56), Patches(patch=(4, 4)), 96), ArrayShape(rows=8, columns=16, depth=8)
    layout = input_layout(model, array)
    assert layout.whole
    assert (layout.run, layout.words) == (3 * 4 * 4, 3 * 14 * 14)
    program = lower(model, array).program
    assert patch_reads(program.parameters, program.commands[0]) == 3


def test_a_window_that_a_command_cannot_name_is_no_run() -> None:
    model, array = graph((3, 64, 64), Patches(patch=(16, 16)), 96), ArrayShape(rows=8, columns=64, depth=4)
    layout = input_layout(model, array)
    assert not layout.whole
    assert lower(model, array).program.commands[0].patch_width in (16, layout.run)


@pytest.mark.parametrize("columns", [1, 2, 4, 8, 16])
def test_patches_that_are_read_well_leave_the_image_as_it_is(columns: int) -> None:
    array = ArrayShape(rows=2, columns=columns, depth=4)
    for edge in (edge for edge in (2, 4, 8, 16) if edge * SHORT > columns):
        assert input_layout(graph((3, 32, 32), Patches(patch=(edge, edge))), array).run == 0
