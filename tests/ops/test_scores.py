# SPDX-License-Identifier: Apache-2.0
"""IntegerScores against loops over heads, queries and keys."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    IntegerScores,
    Scores,
)

SHAPES = [(1, 1, 1, 1), (1, 1, 6, 4), (3, 5, 1, 1), (2, 4, 7, 3), (4, 9, 9, 8)]
"""heads, queries, keys, head dimension: one token, one head, one key among them."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [8, 10, 12])
def test_scores_equal_loops(shape: tuple[int, int, int, int], width: int) -> None:
    heads, queries, keys, size = shape
    random = np.random.default_rng(sum(shape))
    multiplier, shift = numerics.dyadic(2.0 ** (width - 8) * 0.004)
    op = IntegerScores(heads=heads, multiplier=multiplier, shift=shift, width=width, scale=0.1)
    q, k = (random.integers(-128, 128, (t, heads * size)) for t in (queries, keys))
    assert op.golden(q, k).tolist() == slow.scores(q.tolist(), k.tolist(), heads, multiplier, shift, width)


@pytest.mark.parametrize(("heads", "shared"), [(2, 1), (4, 1), (9, 2), (6, 5)])
def test_heads_that_share_keys_meet_them_as_if_they_were_repeated(heads: int, shared: int) -> None:
    random = np.random.default_rng(heads)
    q, k = (
        random.integers(-127, 128, (rows, count * 3))
        for rows, count in ((5, heads), (7, heads // (shared + 1)))
    )
    apart = k.reshape(7, -1, 1, 3).repeat(shared + 1, 2).reshape(7, -1)
    multiplier, shift = numerics.dyadic(0.01)
    op = IntegerScores(heads=heads, multiplier=multiplier, shift=shift, width=10, scale=0.1, shared=shared)
    wanted = slow.scores(q.tolist(), apart.tolist(), heads, multiplier, shift, 10)
    assert op.golden(q, k).tolist() == wanted
    assert op.golden(np.stack([q, q]), np.stack([k, k])).tolist() == [wanted, wanted]
    kinds = [TensorType(x.shape, -127, 127, 0.1) for x in (q, k)]
    assert op.infer(*kinds).shape == (heads, 5, 7)
    real = Scores(heads=heads, scale=0.5, shared=shared)
    np.testing.assert_array_equal(
        real.reference(q * 1.0, k * 1.0), Scores(heads=heads, scale=0.5).reference(q * 1.0, apart * 1.0)
    )


@pytest.mark.parametrize(
    ("heads", "shared", "width"), [(4, 2, 6), (4, 1, 12), (4, 3, 6), (0, 0, 12), (4, -1, 12)]
)
def test_keys_that_no_heads_share_so_are_refused(heads: int, shared: int, width: int) -> None:
    with pytest.raises(TypeMismatch, match=f"divide by {heads} heads"):
        Scores(heads=heads, scale=1.0, shared=shared).infer(TensorType((4, 12)), TensorType((4, width)))


def test_scores_saturate_to_their_width() -> None:
    multiplier, shift = numerics.dyadic(1.0)
    op = IntegerScores(heads=2, multiplier=multiplier, shift=shift, width=9, scale=0.1)
    q = np.array([[127, -128], [0, 0]])
    assert op.golden(q, q).tolist() == [[[255, 0], [0, 0]], [[255, 0], [0, 0]]]
    assert op.golden(q, -q - 1).tolist()[0] == [[-256, -127], [0, 0]]


def test_type() -> None:
    q, k = TensorType((4, 6), -128, 127, 0.1), TensorType((9, 6), -127, 127, 0.1)
    op = IntegerScores(heads=2, multiplier=20_000, shift=20, width=10, scale=1 / 32)
    assert op.infer(q, k) == TensorType((2, 4, 9), -512, 511, 1 / 32)
    assert Scores(heads=2, scale=1.0).infer(q, k) == TensorType((2, 4, 9))


def test_wrong_types_are_refused() -> None:
    q = TensorType((4, 6), -128, 127, 0.1)
    multiplier, shift = numerics.dyadic(0.02)
    op = IntegerScores(heads=4, multiplier=multiplier, shift=shift, width=10, scale=1 / 32)
    with pytest.raises(TypeMismatch, match="divide by 4 heads"):
        op.infer(q, TensorType((4, 6), -127, 127, 0.1))
    with pytest.raises(RangeOverflow, match=r"keys must lie in -127\.\.127, not in -128\.\.127"):
        op.infer(q, q)
    wide = TensorType((1, 1 << 19), -127, 127, 0.1)
    with pytest.raises(RangeOverflow, match="head dimension 131072 leaves 32 bits"):
        op.infer(wide, wide)


def test_float_reference() -> None:
    random = np.random.default_rng(7)
    q, k = random.normal(size=(4, 6)), random.normal(size=(5, 6))
    logits = Scores(heads=2, scale=0.5).reference(q, k)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        np.testing.assert_allclose(logits[head], 0.5 * q[:, part] @ k[:, part].T, atol=1e-12)
