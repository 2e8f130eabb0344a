# SPDX-License-Identifier: Apache-2.0
"""The grammar of float Graphs: complete, and no op asks for what none gives."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import ops
from hlsgen.errors import TypeMismatch
from hlsgen.ops import Add, Choose, IntegerAdd, LayerNorm, Linear, Mean, Scores
from hlsgen.ops.kinds import TOKENS, FloatOp, Kind, Part, either, placed

FLOATS = [
    found
    for name in ops.__all__
    if isinstance(found := getattr(ops, name), type) and issubclass(found, FloatOp)
]


@pytest.mark.parametrize("op", FLOATS)
def test_every_float_op_has_its_place(op: type[FloatOp]) -> None:
    assert op.words()
    assert op.reads
    assert op.gives
    assert all(index < len(op.reads) for index in op.shares)
    for read in op.reads:
        assert bool(read.parts) == (read.kind is not Kind.IMAGE)
        assert read.name or op.misplaced or not read.parts


@pytest.mark.parametrize("op", FLOATS)
def test_what_may_stand_at_an_input_can_give_its_kind(op: type[FloatOp]) -> None:
    """Rows of tokens need not: the quantizer makes the form that is read."""
    for read in op.reads:
        for part in set(read.parts) - set(TOKENS):
            given = {kind for other in FLOATS if other.part is part for kind in other.gives}
            wanted = {read.kind} if read.kind else set(op.gives)
            assert wanted & given, f"{op.__name__} reads {part.value}"


def test_an_op_reads_more_inputs_as_its_last() -> None:
    op = Choose()
    assert op.reading(3) == op.reads * 3
    assert Add().reading(1) == Add.reads[:1]


def test_an_integer_op_has_no_place_in_a_float_graph() -> None:
    with pytest.raises(TypeMismatch, match="IntegerAdd has no place in a float graph"):
        placed(IntegerAdd())


def test_factors_and_constants_go_into_the_op() -> None:
    random = np.random.default_rng(3)
    x, factors, row = random.normal(size=(5, 4)), random.normal(size=3), random.normal(size=3)
    linear = Linear(weight=random.normal(size=(3, 4)), bias=random.normal(size=3))
    np.testing.assert_allclose(linear.times(2.5).reference(x), 2.5 * linear.reference(x))
    np.testing.assert_allclose(linear.times_columns(factors).reference(x), factors * linear.reference(x))
    np.testing.assert_allclose(linear.plus(row).reference(x), linear.reference(x) + row)
    norm = LayerNorm(gamma=random.normal(size=3), beta=random.normal(size=3), eps=1e-3)
    y = random.normal(size=(5, 3))
    np.testing.assert_allclose(norm.times_columns(factors).reference(y), factors * norm.reference(y))
    np.testing.assert_allclose(norm.plus(row).reference(y), norm.reference(y) + row)
    assert (Mean().times(2.0), Mean().times_columns(factors), Mean().plus(row)) == (None, None, None)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_scores_know_an_unfit_scale(scale: float) -> None:
    text = f"the attention scale must be positive and finite, not {scale:g}"
    assert Scores(heads=1, scale=scale).unfit() == text
    assert Scores(heads=1, scale=0.5).unfit() == ""


def test_parts_in_words() -> None:
    assert either([Part.MEAN]) == "a mean over tokens"
    assert either([Part.MEAN, Part.NORM, Part.LINEAR]) == "a mean over tokens, a layer norm or a linear layer"
