# SPDX-License-Identifier: Apache-2.0
"""Fitting: numbers, and what would fit."""

from __future__ import annotations

import pytest
from support.graphs import DIGITS, Vit, integer_vit

from hlsgen.boards import load_board
from hlsgen.boards.families import ECP5, ZYNQMP
from hlsgen.errors import DoesNotFit
from hlsgen.fit.estimate import check_fit, estimate, fitting_arrays
from hlsgen.fit.memories import RamShape
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape

BOARD = load_board("ulx3s-85f")


def lowered(shape: Vit, rows: int, columns: int, depth: int) -> Lowered:
    return lower(integer_vit(shape), ArrayShape(rows=rows, columns=columns, depth=depth))


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [
        (512, 36, 1), (513, 36, 2), (512, 64, 2), (1024, 64, 4), (2048, 72, 8), (4096, 32, 8), (64, 64, 2),
        (16, 64, 0), (32, 256, 0), (64, 32, 1), (256, 8, 1), (128, 8, 0), (600, 36, 2),
    ],
)  # fmt: skip
def test_ram_blocks_are_those_of_the_tools(depth: int, width: int, blocks: int) -> None:
    """Counts as Yosys makes them for the ECP5."""
    for count in (1, 3):
        memory = RamShape(name="m", count=count, depth=depth, width=width, ram=ECP5.ram)
        assert memory.blocks == count * blocks


def test_the_digits_model_fits_its_default_board() -> None:
    design = lowered(DIGITS, *BOARD.array)
    fit = check_fit(design.program.parameters, BOARD, len(design.image.pack()))
    assert fit.fits
    assert "Image" in str(fit)
    external = estimate(design.program.parameters, load_board("lfe5u-85f"))
    assert external.ram_blocks < fit.ram_blocks


def test_too_many_multipliers() -> None:
    design = lowered(DIGITS, 8, 16, 8)
    with pytest.raises(DoesNotFit) as caught:
        check_fit(design.program.parameters, BOARD)
    (problem,) = caught.value.problems
    assert problem.what == "the 8x16x8 array must need at most 143 DSP blocks on ulx3s-85f, not 512"
    assert problem.fix == "choose an array that fits, such as 4x4x16, 4x8x8, 8x4x8"


def test_too_much_memory() -> None:
    design = lowered(Vit(width=128, hidden=512, blocks=6), 4, 4, 8)
    with pytest.raises(DoesNotFit) as caught:
        check_fit(design.program.parameters, BOARD, len(design.image.pack()))
    (problem,) = caught.value.problems
    limit = "the memories must need at most 208 RAM blocks of 18 kbit on ulx3s-85f, not "
    assert problem.what.startswith(limit)
    assert problem.why.startswith("the largest are Image (")
    assert problem.fix == "use a smaller model, or a board with external memory, such as zcu102 or kv260"


def test_suggested_arrays_fit_and_do_not_exceed_the_question() -> None:
    for lanes in (1, 7, 64, 1024):
        arrays = fitting_arrays(BOARD, lanes)
        assert arrays
        assert all(ECP5.array_dsp(*array) <= min(lanes, 143) for array in arrays)


def test_two_products_share_a_multiplier() -> None:
    assert ZYNQMP.array_dsp(8, 16, 8) == 512
    assert ZYNQMP.array_dsp(3, 2, 4) == 16
    assert ECP5.array_dsp(8, 16, 8) == 512
    assert ECP5.array_dsp(3, 1, 4) == 12
