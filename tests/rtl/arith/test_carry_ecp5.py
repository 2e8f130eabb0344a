# SPDX-License-Identifier: Apache-2.0
"""Sums in carry cells: every small operand, with both gates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from amaranth import Module
from support.leaf_bench import LeafBench, Leaves, build, packed

from hlsgen.rtl.arith.carry_ecp5 import gated_sum, kept_sum
from hlsgen.rtl.parts.pipeline import register

WIDTHS = (1, 2, 5)
STIMULUS = packed(("a", "u1"), ("b", "u1"), ("a_on", "u1"), ("b_on", "u1"))
RESPONSE = packed(*((f"{kind}_{width}", "u1") for kind in ("gated", "kept") for width in WIDTHS))


def _wire(m: Module, leaves: Leaves) -> None:
    for width in WIDTHS:
        a, b = leaves.pick("a")[:width], leaves.pick("b")[:width]
        a_on, b_on = leaves.pick("a_on")[0], leaves.pick("b_on")[0]
        for kind, found in (
            ("gated", gated_sum(m, a, a_on, b, b_on, name=f"gated_{width}")),
            ("kept", kept_sum(m, a, a_on, b, name=f"kept_{width}")),
        ):
            m.d.comb += leaves.put(f"{kind}_{width}", register(m, found, name=f"{kind}_{width}"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> LeafBench:
    folder: Path = tmp_path_factory.mktemp("carry")
    return build(Leaves(STIMULUS, RESPONSE, _wire), STIMULUS, RESPONSE, folder)


def test_every_sum(bench: LeafBench) -> None:
    vectors = np.zeros(32 * 32 * 4, STIMULUS)
    a, b, gates = np.unravel_index(np.arange(len(vectors)), (32, 32, 4))
    vectors["a"], vectors["b"], vectors["a_on"], vectors["b_on"] = a, b, gates & 1, gates >> 1
    response = bench.run(vectors)[: len(vectors)]
    for width in WIDTHS:
        mask = (1 << width) - 1
        gated, kept = a * (gates & 1) + b * (gates >> 1), a * (gates & 1) + b
        np.testing.assert_array_equal(response[f"gated_{width}"], gated & mask)
        np.testing.assert_array_equal(response[f"kept_{width}"], kept & mask)
