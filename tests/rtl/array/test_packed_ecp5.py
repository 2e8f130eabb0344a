# SPDX-License-Identifier: Apache-2.0
"""Two products a MULT18X18D are exact: all operands and weights, the array at its limits, its blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth import Mux
from support.array_bench import Blocks, run

from hlsgen.emit.rtl import verilog
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.arith.multiplier import Multiplier, plan
from hlsgen.rtl.array import packed_ecp5

OPERANDS, WEIGHTS = np.arange(-128, 256), np.arange(-127, 128)
SHAPES = [(1, 2, 1), (2, 2, 4), (3, 4, 8), (1, 8, 2)]


def test_every_pair_of_products_comes_apart_exactly() -> None:
    field, overlap = packed_ecp5.FIELD, 1 << packed_ecp5.OVERLAP
    high, operand = (grid.ravel() for grid in np.meshgrid(WEIGHTS, OPERANDS))
    for low in WEIGHTS:
        packed = (high << field) + low
        assert np.abs(packed).max() < 1 << 17
        product = packed * operand
        assert np.abs(product).max() < 1 << (packed_ecp5.PRODUCT_BITS - 1)
        carry = ((product >> field) - high * operand) % overlap
        carry = np.where(carry < overlap // 2, carry, carry - overlap)
        assert np.array_equal((product >> field) - carry, high * operand)
        assert np.array_equal((carry << field) + product % (1 << field), low * operand)


def _plain_block(a_bits: int, b_bits: int, *, style: str) -> Multiplier:
    """Arithmetic in the block's place; with a model of the block the core runs in test_core_ecp5.py."""
    assert style == "ecp5"
    return Multiplier(a_bits, b_bits, style="plain")


def _gated_sum(m: Any, a: Any, a_on: Any, b: Any, b_on: Any, *, name: str) -> Any:
    del m, name
    return (Mux(a_on, a, 0) + Mux(b_on, b, 0))[: len(a)]


def _kept_sum(m: Any, kept: Any, keep: Any, found: Any, *, name: str) -> Any:
    del m, name
    return (Mux(keep, kept, 0) + found)[: len(kept)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_array_gives_exact_sums(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, plain in (("Multiplier", _plain_block), ("gated_sum", _gated_sum), ("kept_sum", _kept_sum)):
        monkeypatch.setattr(packed_ecp5, name, plain)
    rows, columns, depth = shape
    parameters = MachineParameters(rows=rows, columns=columns, depth=depth)
    blocks: Blocks = []
    random, steps = np.random.default_rng(0), 6
    for kind in range(12):
        operands = random.integers(-128, 256, (steps, rows, depth))
        weights = random.integers(-127, 128, (steps, columns, depth))
        if kind < 8:  # the limits, each with itself and with the others
            operands[:] = np.where(random.random(operands.shape) < kind % 2, -128, 255)
            weights[:] = np.where(random.random(weights.shape) < kind // 2 / 3, -127, 127)
        blocks.append((operands, weights))
    found = run(parameters, "ecp5_packed", blocks)
    for got, (operands, weights) in zip(found, blocks, strict=True):
        np.testing.assert_array_equal(got, np.einsum("srd,scd->rc", operands, weights))


@pytest.mark.parametrize(
    ("columns", "style", "blocks"), [(1, "ecp5", 8), (2, "ecp5_packed", 8), (4, "ecp5_packed", 16)]
)
def test_the_plan_and_the_blocks(columns: int, style: str, blocks: int) -> None:
    parameters = MachineParameters(rows=2, columns=columns, depth=4)
    assert plan(parameters, "ecp5").array == style
    text = verilog(parameters, "ecp5")
    lanes, rows = 5 * columns, 3  # requantize two, normalise, centre and square; row, combine, interpolate
    assert text.count("  MULT18X18D ") == blocks + lanes + rows
