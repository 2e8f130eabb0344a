# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors, transposes and constants against loops."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import Constant, IntegerConstant, IntegerMatmul, Matmul, Transpose
from hlsgen.ops.matmul import mover

SHAPES = [(1, 1, 1, 1), (1, 1, 6, 4), (3, 5, 1, 1), (2, 4, 7, 3), (4, 9, 9, 8)]
"""Heads, rows, columns of a head, elements that are added up."""


def integers(*shape: int, most: int = 127) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-most, most + 1, shape)


def loops(
    a: np.ndarray, b: np.ndarray, heads: int, transposed: bool, multiplier: int, shift: int
) -> list[list[int]]:
    """Element by element, from the docstring."""
    each = b.shape[1] // heads
    inner, columns = (each, len(b)) if transposed else (len(b), each)
    own = a.shape[1] != inner
    result = []
    for row in a.tolist():
        line = []
        for head in range(heads):
            start = head * inner if own else 0
            for column in range(columns):
                total = 0
                for k in range(inner):
                    factor = b[column][head * each + k] if transposed else b[k][head * each + column]
                    total += row[start + k] * int(factor)
                line.append(slow.clamp(slow.scaled(total, multiplier, shift), -128, 127))
        result.append(line)
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_product_equals_loops(shape: tuple[int, int, int, int], transposed: bool, shared: bool) -> None:
    heads, rows, columns, inner = shape
    multiplier, shift = numerics.dyadic(0.01)
    a = integers(rows, inner if shared else heads * inner, most=128)[:, ::-1].clip(-128, 127)
    b = integers(columns, heads * inner) if transposed else integers(inner, heads * columns)
    op = IntegerMatmul(
        heads=heads, transposed=transposed, multiplier=multiplier, shift=shift, low=-128, high=127, scale=1.0
    )
    wanted = loops(a, b, heads, transposed, multiplier, shift)
    assert op.golden(a, b).tolist() == wanted
    assert op.golden(np.stack([a, a]), np.stack([b, b])).tolist() == [wanted, wanted]
    kinds = TensorType(a.shape, -128, 127, 1.0), TensorType(b.shape, -127, 127, 1.0)
    assert op.infer(*kinds).shape == (rows, heads * columns)
    real = Matmul(heads=heads, transposed=transposed, scale=0.5)
    exact = loops(a, b, heads, transposed, 1, 1)
    np.testing.assert_allclose(
        np.clip(np.floor(real.reference(a * 1.0, b * 1.0) + 0.5), -128, 127), exact, rtol=0, atol=0
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("heads", "shared"), [(2, 1), (6, 2), (4, 3)])
def test_heads_may_share_a_factor(transposed: bool, own: bool, heads: int, shared: int) -> None:
    parts, rows, columns, inner = heads // (shared + 1), 3, 4, 5
    a = integers(rows, heads * inner if own else inner)
    b = integers(columns, parts * inner) if transposed else integers(inner, parts * columns)
    apart = b.reshape(len(b), parts, 1, -1).repeat(shared + 1, 2).reshape(len(b), -1)
    multiplier, shift = numerics.dyadic(0.01)
    op = IntegerMatmul(
        heads=heads, transposed=transposed, multiplier=multiplier, shift=shift, low=-128, high=127, scale=1.0,
        shared=shared,
    )  # fmt: skip
    assert op.golden(a, b).tolist() == loops(a, apart, heads, transposed, multiplier, shift)
    assert op.infer(*(TensorType(x.shape, -127, 127, 1.0) for x in (a, b))).shape == (rows, heads * columns)
    real = Matmul(heads=heads, transposed=transposed, scale=0.5)
    np.testing.assert_array_equal(
        Matmul(heads=heads, transposed=transposed, scale=0.5, shared=shared).reference(a * 1.0, b * 1.0),
        real.reference(a * 1.0, apart * 1.0),
    )
    with pytest.raises(
        TypeMismatch, match=f"divide by {heads + 1} heads, of which {shared + 1} meet the same"
    ):
        Matmul(heads=heads + 1, transposed=transposed, scale=0.5, shared=shared).infer(
            TensorType(a.shape), TensorType(b.shape)
        )


def test_stacked_heads_are_rows() -> None:
    a, b = integers(2, 3), integers(4, 6)
    plain = IntegerMatmul(
        heads=2, transposed=True, multiplier=1 << 14, shift=16, low=-128, high=127, scale=1.0
    )
    wide = plain.golden(a, b)
    stacked = mover(2, TensorType((4, 6), -127, 127, 1.0), stacked=True)
    np.testing.assert_array_equal(stacked.golden(np.eye(3, dtype=np.int64), b), b.T)
    assert stacked.infer(TensorType((3, 3), 0, 1, 1.0), TensorType((4, 6), -127, 127, 1.0)).shape == (6, 4)
    assert wide.shape == (2, 8)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_a_transpose_moves_each_head(heads: int) -> None:
    x = integers(5, 6)
    op = Transpose(heads=heads)
    moved = op.golden(x)
    width = 6 // heads
    for head in range(heads):
        part = x[:, head * width : (head + 1) * width]
        np.testing.assert_array_equal(moved[:, head * 5 : (head + 1) * 5], part.T)
    assert op.infer(TensorType((5, 6), -127, 127, 0.5)) == TensorType(moved.shape, -127, 127, 0.5)
    np.testing.assert_array_equal(op.reference(x[None].astype(float))[0], moved)


def test_a_constant_is_there_for_every_image() -> None:
    value = integers(3, 4)
    op = IntegerConstant(value=value, low=-128, high=127, scale=0.5)
    assert op.golden(np.zeros((2, 1, 4, 4))).tolist() == [value.tolist()] * 2
    assert op.golden(np.zeros((1, 4, 4))).tolist() == value.tolist()
    np.testing.assert_array_equal(Constant(value=value * 0.5).reference(np.zeros((1, 4, 4))), value * 0.5)
    with pytest.raises(RangeOverflow, match=r"must lie in -1\.\.1"):
        IntegerConstant(value=value, low=-1, high=1, scale=1.0).infer(TensorType((1, 4, 4), -128, 127, 1.0))


def test_what_does_not_fit_is_refused() -> None:
    op = Matmul(heads=2, transposed=True, scale=1.0)
    with pytest.raises(TypeMismatch, match="must agree and divide by 2 heads"):
        op.infer(TensorType((3, 5)), TensorType((4, 6)))
    with pytest.raises(TypeMismatch, match="must divide by 4 heads"):
        Transpose(heads=4).infer(TensorType((3, 6)))
    whole = IntegerMatmul(heads=1, transposed=True, multiplier=1, shift=1, low=-128, high=127, scale=1.0)
    with pytest.raises(RangeOverflow, match=r"right side must lie in -127\.\.127"):
        whole.infer(TensorType((3, 6), -128, 127, 1.0), TensorType((4, 6), -128, 127, 1.0))
    with pytest.raises(RangeOverflow, match="leave the 32-bit accumulator"):
        whole.infer(TensorType((1, 1 << 18), -128, 127, 1.0), TensorType((1, 1 << 18), -127, 127, 1.0))
    assert Matmul(heads=1, transposed=True, scale=-1.0).unfit()
    assert Matmul(heads=1, transposed=True, scale=2.0).times(-1.0) is None
