# SPDX-License-Identifier: Apache-2.0
"""Functions by name against plain loops over `math`; expressions, and texts that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hlsgen.ops.pointwise import LONGEST, NAMED, compose, function

X = np.linspace(-7, 7, 57)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


SLOW = {
    "gelu": lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x * _sigmoid(x),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "hardsigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
}


def test_named_functions() -> None:
    assert SLOW.keys() == NAMED.keys()
    for name, slow in SLOW.items():
        np.testing.assert_allclose(function(name)(X), [slow(x) for x in X], rtol=0, atol=1e-12)


def test_expressions() -> None:
    assert np.array_equal(function("sub(mul(x, 2.0), -1e1)")(X), X * 2 + 10)
    assert np.array_equal(function("where(gt(x, 0.5), x, div(x, 4))")(X), np.where(X > 0.5, X, X / 4))
    assert np.array_equal(function("max(min(x, 1.0), pow(x, 2))")(X), np.maximum(np.minimum(X, 1), X**2))
    assert np.array_equal(function("2.5")(X), np.full(X.shape, 2.5))
    assert function("silu(x)")(X[None]).shape == (1, 57)


def test_what_is_not_defined_is_no_number_and_no_warning() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(function("log(x)")(np.array([-1.0]))).all()
        assert np.isinf(function("div(1.0, x)")(np.array([0.0]))).all()


def test_composition_replaces_the_argument_alone() -> None:
    assert compose("mul(x, exp(x))", "max(x, 0.0)") == "mul(max(x, 0.0), exp(max(x, 0.0)))"
    with pytest.raises(ValueError, match=f"at most {LONGEST} characters, not"):
        compose("mul(x, x)", "x" * LONGEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an expression knows no ''"),
        ("swish", "an expression knows no 'swish'"),
        ("mul(x", "must have ',' where it has the end|must have ',' where it has 'the end'"),
        ("mul(x, x))", "is left over"),
        ("__import__('os')", "is no expression"),
        ("add(x; x)", "is no expression"),
        ("abs(" * 200 + "x" + ")" * 200, "knows no"),
        ("x" * 2001, "at most 2000 characters"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(text)
