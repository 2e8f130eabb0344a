# SPDX-License-Identifier: Apache-2.0
"""Every multiplier style equals the product: all operands of the array, random ones of wide multipliers."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from support.leaf_bench import LeafBench
from support.leaves import MULTIPLIERS, STIMULUS

from hlsgen.machine.format.multipliers import TARGETS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.arith.multiplier import STYLES, Multiplier, WideMultiplier, plan

WIDE = 1 << 18


@pytest.fixture(scope="module")
def products(leaves: LeafBench) -> tuple[np.ndarray, np.ndarray]:
    """Operands and what came of them: all of 9 x 8 bits, then extremes, then 32 x 18 bits at random."""
    random = np.random.default_rng(1)
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(-256, 256), np.arange(-128, 128)))
    edges = [0, 1, -1, (1 << 17) - 1, -(1 << 17), (1 << 31) - 1, -(1 << 31), 0xFFFF]
    edge_a, edge_b = (grid.ravel() for grid in np.meshgrid(edges, edges))
    vectors = np.zeros(len(a) + len(edge_a) + WIDE, STIMULUS)
    vectors["a"] = np.concatenate([a, edge_a, random.integers(-(1 << 31), 1 << 31, WIDE)])
    vectors["b"] = np.concatenate([b, edge_b, random.integers(-(1 << 17), 1 << 17, WIDE)])
    return vectors, leaves.run(vectors)


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    return (values.astype(np.int64) & ((1 << bits) - 1) ^ (1 << (bits - 1))) - (1 << (bits - 1))


def _after(response: np.ndarray, latency: int, count: int) -> np.ndarray:
    return response[latency - 1 : latency - 1 + count]


@pytest.mark.parametrize(("style", "latency"), MULTIPLIERS)
def test_products(products: tuple[np.ndarray, np.ndarray], style: str, latency: int) -> None:
    vectors, response = products
    for name, a_bits, b_bits in (("narrow", 9, 8), ("port", 18, 18)):
        got = _signed(_after(response[f"{name}_{style}_{latency}"], latency, len(vectors)), a_bits + b_bits)
        assert np.array_equal(got, _signed(vectors["a"], a_bits) * _signed(vectors["b"], b_bits))


@pytest.mark.parametrize("style", STYLES)
def test_wide_products(products: tuple[np.ndarray, np.ndarray], style: str) -> None:
    vectors, response = products
    got = _signed(_after(response[f"wide_{style}"], WideMultiplier.latency, len(vectors)), 48)
    expected = vectors["a"].astype(np.int64) * (vectors["b"].astype(np.int64) & 0xFFFF)
    assert np.array_equal(got, _signed(expected, 48))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "dsp"}, "style must be"),
        ({"style": "soft"}, "for soft multipliers 3"),
        ({"latency": 4}, "latency must be"),
        ({"style": "ecp5", "a_bits": 19}, "at most 18 bits, not 19"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_impossible_multipliers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Multiplier(options.pop("a_bits", 9), 8, **options)
    gc.collect()  # while the warning about the unused component is ignored


def test_the_plan_spends_the_blocks_on_the_array_first() -> None:
    small, large = (MachineParameters(rows=rows, columns=4, depth=8) for rows in (4, 8))
    assert set((vars(plan(small, "ecp5")) | {"gate": "ecp5"}).values()) == {"ecp5", "ecp5_packed"}
    chosen = plan(large, "ecp5")
    blocks = {"array": large.lanes // 2, "requantize": 8, "normalise": 4, "row": 1, "combine": 1}
    blocks |= {"centre": 4, "square": 4, "interpolate": 1, "gate": 0}
    most = TARGETS["ecp5"].blocks
    assert most is not None
    assert sum(blocks[name] for name, style in vars(chosen).items() if style != "soft") <= most
    assert (chosen.array, chosen.requantize, chosen.square) == ("ecp5_packed", "ecp5", "soft")
    assert set(vars(plan(large, "generic")).values()) == {"plain"}
    xilinx = vars(plan(large, "xilinx"))
    tables = {"centre", "square", "interpolate", "gate"}
    assert {name for name, style in xilinx.items() if style == "tables"} == tables
    with pytest.raises(ValueError, match="target must be"):
        plan(large, "asic")
