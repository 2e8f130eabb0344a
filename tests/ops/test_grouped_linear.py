# SPDX-License-Identifier: Apache-2.0
"""A grouped linear layer is a linear layer for each part of a row; a norm by head one norm for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    GroupedLinear,
    IntegerGroupedLinear,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerRMSNorm,
    LayerNorm,
    RMSNorm,
)


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(1, 3, 2), (2, 1, 1), (3, 4, 2), (4, 2, 5)])
def test_each_part_has_weights_of_its_own(groups: int, inputs: int, outputs: int) -> None:
    random = np.random.default_rng(groups)
    fields = {
        "weight": random.integers(-127, 128, (groups * outputs, inputs)),
        "bias": random.integers(-99, 99, groups * outputs),
        "multiplier": random.integers(1 << 14, 1 << 15, groups * outputs),
        "shift": random.integers(16, 22, groups * outputs),
    }
    common = {"low": -128, "high": 127, "scale": 0.5}
    x = random.integers(-128, 128, (2, 5, groups * inputs))
    found = IntegerGroupedLinear(groups=groups, **fields, **common).golden(x)
    real = GroupedLinear(groups=groups, weight=fields["weight"] * 1.0, bias=fields["bias"] * 1.0)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        part = x[..., group * inputs : (group + 1) * inputs]
        alone = IntegerLinear(**{name: value[rows] for name, value in fields.items()}, **common)
        np.testing.assert_array_equal(found[..., rows], alone.golden(part))
        exact = part @ fields["weight"][rows].T + fields["bias"][rows]
        np.testing.assert_array_equal(real.reference(x * 1.0)[..., rows], exact)
    kind = IntegerGroupedLinear(groups=groups, **fields, **common).infer(
        TensorType((5, groups * inputs), -128, 127, 1.0)
    )
    assert kind == TensorType((5, groups * outputs), -128, 127, 0.5)


def test_widths_must_fit() -> None:
    with pytest.raises(TypeMismatch, match="in 2 groups must fit"):
        GroupedLinear(groups=2, weight=np.ones((4, 3)), bias=np.zeros(4)).infer(TensorType((1, 7)))


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_a_norm_by_head_is_a_norm_of_each(kind: type[LayerNorm | RMSNorm]) -> None:
    random = np.random.default_rng(2)
    x, gamma, beta = random.normal(size=(4, 6)), random.normal(size=6), random.normal(size=6)
    found = kind(gamma=gamma, beta=beta, eps=1e-3, heads=3).reference(x)
    for head in range(3):
        part = slice(2 * head, 2 * head + 2)
        alone = kind(gamma=gamma[part], beta=beta[part], eps=1e-3)
        np.testing.assert_allclose(found[:, part], alone.reference(x[:, part]), rtol=1e-12)
    with pytest.raises(TypeMismatch, match="must divide by 4 heads"):
        kind(gamma=gamma, beta=beta, eps=1e-3, heads=4).infer(TensorType((4, 6)))


@pytest.mark.parametrize("kind", [IntegerLayerNorm, IntegerRMSNorm])
def test_an_integer_norm_by_head_is_one_of_each(kind: type[IntegerLayerNorm | IntegerRMSNorm]) -> None:
    x = np.random.default_rng(3).integers(-32768, 32768, (4, 6))
    fields: dict[str, Any] = {"epsilon": 9, "gain": 20000, "gain_shift": 9}
    found = kind(**fields, heads=2).golden(x)
    for part in (slice(0, 3), slice(3, 6)):
        np.testing.assert_array_equal(found[:, part], kind(**fields).golden(x[:, part]))
