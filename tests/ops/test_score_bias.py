# SPDX-License-Identifier: Apache-2.0
"""Scores with addends, against dense attention under the mask: hidden keys, rows of them, their order."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    IntegerContext,
    IntegerExp,
    IntegerMixedScores,
    IntegerScores,
    MixedScores,
    Scores,
    Softmax,
)
from hlsgen.ops.score_bias import described

HEADS, ROWS, KEYS, SIZE = 2, 6, 9, 4


def _operands(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = (ROWS, KEYS, KEYS)
    return tuple(random.integers(-127, 128, (rows, HEADS * SIZE)) for rows in shapes)  # type: ignore[return-value]


def _attention(
    width: int, addends: np.ndarray | None, q: np.ndarray, k: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Contexts in integers [T, H*d]."""
    scores = IntegerScores(
        heads=HEADS, multiplier=20_000, shift=20, width=width, scale=1 / 32, addends=addends
    ).golden(q, k)
    hidden = None if addends is None else -(1 << (width - 1))
    e = IntegerExp(table=numerics.exp_table(1 / 32, width), hidden=hidden).golden(scores)
    return IntegerContext(multiplier=30_000, shift=15, scale=1.0).golden(e, v)


@pytest.mark.parametrize("width", [8, 10, 12])
@pytest.mark.parametrize("seed", range(8))
def test_hidden_keys_are_as_if_they_were_not_there(width: int, seed: int) -> None:
    """Row by row the contexts of the keys that are seen, alone and in any order; of none, zeros."""
    q, k, v = _operands(seed)
    random = np.random.default_rng(100 + seed)
    seen = random.random((HEADS, ROWS, KEYS)) < random.choice([0.2, 0.6, 1.0], (HEADS, ROWS, 1))
    seen[:, 0], seen[:, 1] = False, np.arange(KEYS) == KEYS - 1
    got = _attention(width, np.where(seen, 0, numerics.HIDDEN), q, k, v)
    assert not got[0].any()
    for head in range(HEADS):
        part = slice(head * SIZE, (head + 1) * SIZE)
        for row in range(1, ROWS):
            keys = random.permutation(np.flatnonzero(seen[head, row]))
            if not len(keys):
                assert not got[row, part].any()
                continue
            alone = _one_head(width, q[row : row + 1, part], k[keys][:, part], v[keys][:, part])
            np.testing.assert_array_equal(got[row, part], alone[0])


def _one_head(width: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    addends = np.zeros((1, len(q), len(k)), np.int64)
    scores = IntegerScores(
        heads=1, multiplier=20_000, shift=20, width=width, scale=1 / 32, addends=addends
    ).golden(q, k)
    e = IntegerExp(table=numerics.exp_table(1 / 32, width), hidden=-(1 << (width - 1))).golden(scores)
    return IntegerContext(multiplier=30_000, shift=15, scale=1.0).golden(e, v)


def test_addends_of_zero_change_no_bit_where_nothing_saturates() -> None:
    q, k, v = _operands(1)
    q, k = q // 8, k // 8
    plain = _attention(10, None, q, k, v)
    np.testing.assert_array_equal(_attention(10, np.zeros((HEADS, ROWS, KEYS), np.int64), q, k, v), plain)


@pytest.mark.parametrize("width", [8, 12])
def test_add_scores_by_loops(width: int) -> None:
    half, values = 1 << (width - 1), [-32768, -32767, -300, -1, 0, 1, 126, 127, 128, 5000, 32767]
    for x in values:
        for addend in values:
            expected = -half if addend == -32768 else min(max(x + addend, 1 - half), half - 1)
            assert numerics.add_scores(x, addend, width) == expected


@pytest.mark.parametrize("op", [Scores(heads=1, scale=0.5), MixedScores(matrix=np.eye(1))])
def test_float_bias(op: Scores | MixedScores) -> None:
    """A row of hidden keys gives weights of zero, and so do hidden keys in any other row."""
    random = np.random.default_rng(0)
    bias = random.normal(size=(1, 3, 5))
    bias[0, 1], bias[0, 2, 3] = -np.inf, -np.inf
    inputs = (
        [random.normal(size=(3, 4)), random.normal(size=(5, 4))]
        if isinstance(op, Scores)
        else [random.normal(size=(3, 5))]
    )
    plain = op.reference(*inputs)
    biased = type(op)(**{**vars(op), "bias": bias})
    assert not biased.unfit()
    weights = Softmax().reference(biased.reference(*inputs))
    e = np.exp(plain + bias)
    e = e[0, [0, 2]]
    np.testing.assert_allclose(weights[0, [0, 2]], e / e.sum(-1, keepdims=True))
    assert not weights[0, 1].any()
    np.testing.assert_allclose(biased.times(2.0).reference(*inputs), 2 * (plain + bias))


def test_misfits() -> None:
    bias = np.zeros((2, 3, 3))
    with pytest.raises(TypeMismatch, match="bias"):
        Scores(heads=1, scale=1.0, bias=bias).infer(TensorType((3, 4)), TensorType((3, 4)))
    assert "finite" in Scores(heads=2, scale=1.0, bias=bias + np.inf).unfit()
    narrow = TensorType((3, 4), -127, 127, 1.0)
    for addends, error in (
        (np.zeros((1, 3, 3), np.int64), TypeMismatch),
        (bias.astype(np.int64) + 32768, RangeOverflow),
    ):
        with pytest.raises(error):
            IntegerScores(heads=2, multiplier=1, shift=1, width=10, scale=1.0, addends=addends).infer(
                narrow, narrow
            )
    weight = np.ones((1, 2), np.int8)
    mixed = IntegerMixedScores(
        weight=weight, multiplier=1, shift=1, width=10, scale=1.0, addends=bias.astype(np.int64)
    )
    with pytest.raises(TypeMismatch):
        mixed.infer(TensorType((3, 6), -127, 127, 1.0))


CAUSAL = np.triu(np.full((4, 4), -np.inf), 1)
STEPS = np.subtract.outer(np.arange(4.0), np.arange(4.0))


@pytest.mark.parametrize(
    ("bias", "text"),
    [
        (CAUSAL[None], "causal mask, 38% of the keys hidden"),
        (np.triu(np.full((2, 4), -np.inf), 3)[None], "causal mask, 12% of the keys hidden"),
        (np.where(np.abs(STEPS) > 1, -np.inf, 0.0)[None], "band, 38% of the keys hidden"),
        (np.where(STEPS > 1, -np.inf, CAUSAL)[None], "causal band, 56% of the keys hidden"),
        (np.where(STEPS % 2 == 1, -np.inf, CAUSAL)[None], "causal pattern, 62% of the keys hidden"),
        (np.where(STEPS % 2 == 1, -np.inf, 0.0)[None], "pattern, 50% of the keys hidden"),
        (np.stack([CAUSAL, 0 * STEPS]), "masks by head, 19% of the keys hidden"),
        (np.tile([0.0, 0.0, -np.inf], (2, 5, 1)), "padding, 33% of the keys hidden"),
        (STEPS[None] - 1, "a bias of the distance, -4 to 2"),
        (-STEPS[None] + CAUSAL, "causal mask, 38% of the keys hidden and a bias of the distance, -3 to 0"),
        (np.tile([0.5, 0.0, -1.0], (2, 5, 1)), "a bias of each key, -1 to 0.5"),
        (np.arange(12.0).reshape(1, 3, 4) ** 2, "a bias of each pair, 0 to 121"),
    ],
)
def test_a_bias_in_words(bias: np.ndarray, text: str) -> None:
    assert described(bias) == text
