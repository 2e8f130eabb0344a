# SPDX-License-Identifier: Apache-2.0
"""Packed products are exact: arithmetic at its limits, the array against integers, the blocks it takes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.array_bench import run

from benchmarks.blocks import blocks
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.array import packed

OPERANDS, WEIGHTS = (-128, 255), (-128, 127)


def _unpacked(total: int) -> tuple[int, int]:
    """The two sums of `packed`'s docstring, in integers."""
    half = 1 << (packed.FIELD - 1)
    low = (total + half) % (1 << packed.FIELD) - half
    return (total - low) >> packed.FIELD, low


def test_sums_at_the_limits_come_apart_exactly() -> None:
    extremes = [a * b for a in (*OPERANDS, 0, -1, 1) for b in (*WEIGHTS, 0, -1, 1)]
    lowest, highest = min(extremes), max(extremes)
    sums = {count * value for count in range(packed.SUMMED + 1) for value in (lowest, highest, -1, 1)}
    for high, low in itertools.product(sums, repeat=2):
        assert _unpacked((high << packed.FIELD) + low) == (high, low)
    assert packed.SUMMED * lowest >= -(1 << 17)
    assert packed.SUMMED * highest < 1 << 17
    assert (packed.SUMMED + 1) * -lowest > 1 << 17  # one more would not always fit
    for high, low in itertools.product(OPERANDS, repeat=2):
        assert -(1 << 26) <= (high << packed.FIELD) + low < 1 << 26


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 2, 4), (3, 2, 8), (4, 1, 16), (5, 2, 2)])
def test_the_array_gives_exact_sums(shape: tuple[int, int, int]) -> None:
    rows, columns, depth = shape
    parameters = MachineParameters(rows=rows, columns=columns, depth=depth, accumulator_bits=32)
    random, steps = np.random.default_rng(0), 6
    blocks = []
    for kind in ("high", "low", "mixed", "random", "random"):
        a = random.integers(OPERANDS[0], OPERANDS[1] + 1, (steps, rows, depth))
        w = random.integers(WEIGHTS[0], WEIGHTS[1] + 1, (steps, columns, depth))
        if kind != "random":
            a[:] = (
                OPERANDS[1]
                if kind != "mixed"
                else np.where(np.arange(rows) % 2, OPERANDS[0], OPERANDS[1])[:, None]
            )
            w[:] = WEIGHTS[kind == "high"]
        blocks.append((a, w))
    found = run(parameters, "xilinx_packed", blocks)
    expected = [np.einsum("srd,scd->rc", a, w) for a, w in blocks]
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_yosys_takes_half_a_block_for_a_product() -> None:
    found = blocks(MachineParameters(rows=4, columns=2, depth=4))
    assert found["array"] == 4 * 2 * 4 // 2
    assert sum(found.values()) == 16 + 3 * 2 + 2  # a column: two of requantize, one of the norm; its row unit
