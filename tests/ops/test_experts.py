# SPDX-License-Identifier: Apache-2.0
"""Expert layers against one row at a time."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import ExpertLinear, IntegerExpertLinear

RANDOM = np.random.default_rng(4)
TOKENS, K, EXPERTS, IN, OUT = 6, 2, 3, 5, 4
WEIGHT = RANDOM.integers(-127, 128, (EXPERTS, OUT, IN))
BIAS = RANDOM.integers(-999, 999, (EXPERTS, OUT))
ROUTE = np.stack([np.r_[RANDOM.permutation(EXPERTS)[:K], 9, 7] for _ in range(TOKENS)])


def integer(**fields: object) -> IntegerExpertLinear:
    given = {
        "weight": WEIGHT,
        "bias": BIAS,
        "multiplier": np.full((EXPERTS, OUT), 20000),
        "shift": np.full((EXPERTS, OUT), 22),
        "low": -128,
        "high": 127,
        "scale": 0.1,
    }
    return IntegerExpertLinear(**given | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [TOKENS, TOKENS * K])
def test_each_row_uses_its_expert(rows: int) -> None:
    x = RANDOM.integers(-128, 128, (rows, IN))
    op, exact = integer(), ExpertLinear(weight=WEIGHT, bias=BIAS)
    got, real = op.golden(x, ROUTE), exact.reference(x.astype(float), ROUTE)
    for token in range(TOKENS):
        for j in range(K):
            expert, row = ROUTE[token, j], token * K + j
            source = x[token] if rows == TOKENS else x[row]
            acc = WEIGHT[expert] @ source + BIAS[expert]
            np.testing.assert_array_equal(real[row], acc)
            np.testing.assert_array_equal(got[row], numerics.requantize(acc, 20000, 22, -128, 127))


def test_batches() -> None:
    x, op = RANDOM.integers(-128, 128, (3, TOKENS, IN)), integer()
    routes = np.stack([ROUTE, ROUTE[::-1], np.roll(ROUTE, 1, 0)])
    whole = op.golden(x, routes)
    for index in range(3):
        np.testing.assert_array_equal(whole[index], op.golden(x[index], routes[index]))


def test_types() -> None:
    x, route = TensorType((TOKENS, IN), -128, 127, 0.1), TensorType((TOKENS, 2 * K), 0, 32767, 1.0)
    assert integer().infer(x, route) == TensorType((TOKENS * K, OUT), -128, 127, 0.1)
    with pytest.raises(TypeMismatch, match="input must have 6 or 12 rows, not 7"):
        integer().infer(TensorType((7, IN), -128, 127, 0.1), route)
    with pytest.raises(TypeMismatch, match="must fit input"):
        ExpertLinear(weight=WEIGHT, bias=BIAS[:2]).infer(x, route)
    with pytest.raises(RangeOverflow, match="leaves 32 bits"):
        integer().infer(TensorType((TOKENS, IN), 0, 1 << 26, 0.1), route)


def test_constants_that_no_record_holds_are_refused() -> None:
    x, route = TensorType((TOKENS, IN), -128, 127, 0.1), TensorType((TOKENS, 2 * K), 0, 32767, 1.0)
    bias = BIAS.copy()
    bias[2, 1] = 1 << 18
    with pytest.raises(RangeOverflow) as caught:
        integer(bias=bias).infer(x, route)
    assert str(caught.value) == (
        "experts: bias must be in -262144..262143, not 262144\n"
        "  where: expert 2, channel 1\n"
        "  why: the accelerator has 19 bits for it\n"
        "  fix: give the channel a larger weight scale"
    )
