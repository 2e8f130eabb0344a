# SPDX-License-Identifier: Apache-2.0
"""Products of keys and of values on the core: every word it writes against the interpreter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.core_bench import core_bench
from support.script import DEEP, WIDE, Script, equal

from hlsgen.machine.format.commands import Drain, Product, Target
from hlsgen.machine.format.interface import DRAIN, TILE
from hlsgen.machine.format.parameters import MachineParameters

FLAT = dataclasses.replace(WIDE, products=1, key_words=32)
PAIRS = dataclasses.replace(
    DEEP, products=1, rows=4, row_width=2, key_words=64, feature_words=256, residual_words=256,
    narrow_weights=1, tile_words=12,
)  # fmt: skip
ROWS = 5


def _rows_of_heads(script: Script, columns: int) -> dict[str, Any]:
    """Each head's results are rows of their own, one head behind the other."""
    words = script.words(columns)
    return {"target_stride": words, "outer_target": script.parameters.padded_rows(ROWS) * words}


def _few(script: Script) -> None:
    """Keys that two heads share, values with rows for each head; sums with such rows; weights by sweeps."""
    half, columns = script.parameters.feature_words // 2, script.parameters.columns
    script.product(Product.KEYS, ROWS, 7, 5, 3, shared=1)
    script.product(Product.VALUES, ROWS, 9, 5, 2, **_rows_of_heads(script, 5))
    rows = script.parameters.padded_rows(ROWS)
    script.add_stream(2 * rows, 1, 30000, target=Target.RESIDUAL, target_base=4, target_stride=1)
    sums = {"drain": Drain.ADD, "target": Target.RESIDUAL, "addend_base": 4, "spread": 9000}
    sums |= {"low": -32768, "high": 32767} | _rows_of_heads(script, columns)
    script.product(Product.KEYS, ROWS, 8, columns, 2, **sums)
    # Each sweep of weights has its own part of the rows, and the first one a block more.
    script.add_stream(ROWS, 2, 128, target_base=half, target_stride=2)
    sweeps = {"sweeps": 2, "blocks": 1, "extra": 1, "source": half, "source_stride": 2, "outer_source": 1}
    script.linear(ROWS, columns, **sweeps, **_rows_of_heads(script, 2 * columns))
    _halves(script)


def _halves(script: Script) -> None:
    """Weights of 4 bits, whose blocks have one step, an even number, and an odd one; three tiles each."""
    p, rows = script.parameters, 2 * script.parameters.rows + 1
    for steps in (1, 2, 3) if p.narrow_weights else ():
        words = script.words(steps * p.depth)
        script.add_stream(rows, words, 128, target_stride=words)
        fields = {"target_base": p.feature_words // 2, "target_stride": 3, "source_stride": words}
        script.linear(rows, steps * p.depth, blocks=3, narrow=1, **fields)


def _all(script: Script) -> None:
    """Both products in every form, and attention whose heads share keys and values."""
    for product in (Product.KEYS, Product.VALUES):
        script.product(product, ROWS, 7, 5, 3)
        script.product(product, ROWS, 8, 4, 3, own=False, shared=1)
        script.product(product, ROWS, 8, 6, 2, **_rows_of_heads(script, 6))
        script.product(product, 1, 1, 1, 1, low=-3, high=40)
    script.attention(5, 6, 3, max(script.parameters.depth, script.parameters.columns), shared=1)


@pytest.mark.parametrize(
    ("parameters", "forms", "stall"),
    [
        (PAIRS, _few, 0.2),
        pytest.param(PAIRS, _all, 0.0, marks=pytest.mark.slow),
        pytest.param(FLAT, _few, 0.0, marks=pytest.mark.slow),
        pytest.param(FLAT, _all, 0.3, marks=pytest.mark.slow),
    ],
    ids=["pairs-few", "pairs-all", "flat-few", "flat-all"],
)
def test_products_equal_the_interpreter(
    parameters: MachineParameters, forms: Callable[[Script], None], stall: float
) -> None:
    script = Script(parameters)
    forms(script)
    image, expected = script.finish()
    run = core_bench(parameters).run(image, script.pixels, stall=stall)
    for which in (TILE, DRAIN):
        got, want = (script.records(records, which) for records in (run.records, expected.records))
        for index, command in enumerate(script.commands):
            mine, theirs = (records[records["command"] == index] for records in (got, want))
            assert np.array_equal(mine, theirs), f"{which} {index}: {command}"
            if which == DRAIN and command.product >= Product.KEYS and len(theirs) > 1:
                assert len(np.unique(theirs["data"])) > 8
    assert equal(script, run.records, expected.records)
    assert run.output == expected.output[: len(run.output)]
