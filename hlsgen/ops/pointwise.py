# SPDX-License-Identifier: Apache-2.0
"""Functions of one number: by name, or written as an expression of x, as `mul(x, sigmoid(mul(x, 1.5)))`.

An expression is text, so that files hold it. It is parsed here and never run as a program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache

import numpy as np

from hlsgen.ops.erf import erf, in_blocks

Function = Callable[[np.ndarray], np.ndarray]

LONGEST = 2000
"""Characters of an expression."""
_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[-+]?(?:inf|nan|\d[\d.]*(?:[eE][-+]?\d+)?)|[(),])")


def _gelu(x: np.ndarray) -> np.ndarray:
    return in_blocks(lambda part: 0.5 * part * (1 + erf(part / math.sqrt(2))), x)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


NAMED: dict[str, Function] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * _sigmoid(x),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "hardswish": lambda x: x * np.clip(x + 3, 0.0, 6.0) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0.0, 6.0) / 6,
}
"""Activations that models use by name: functions of float64 arrays."""

_CALLS: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "add": (2, np.add),
    "sub": (2, np.subtract),
    "mul": (2, np.multiply),
    "div": (2, np.divide),
    "pow": (2, np.power),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
    "lt": (2, lambda a, b: np.less(a, b) + 0.0),
    "le": (2, lambda a, b: np.less_equal(a, b) + 0.0),
    "gt": (2, lambda a, b: np.greater(a, b) + 0.0),
    "ge": (2, lambda a, b: np.greater_equal(a, b) + 0.0),
    "where": (3, lambda c, a, b: np.where(c != 0, a, b)),
    "abs": (1, np.abs),
    "sign": (1, np.sign),
    "exp": (1, np.exp),
    "expm1": (1, np.expm1),
    "log": (1, np.log),
    "log1p": (1, np.log1p),
    "sqrt": (1, np.sqrt),
    "sin": (1, np.sin),
    "cos": (1, np.cos),
    "atan": (1, np.arctan),
    "erf": (1, erf),
    "floor": (1, np.floor),
    **{name: (1, function) for name, function in NAMED.items()},
}


def compose(outer: str, inner: str) -> str:
    """`outer` of `inner`; raises `ValueError` where the text becomes too long."""
    text = re.sub(r"\bx\b", inner, outer)
    if len(text) > LONGEST:
        raise ValueError(f"an expression must have at most {LONGEST} characters, not {len(text)}")
    return text


@cache
def function(text: str) -> Function:
    """The function of float64 arrays that a name or an expression means; raises `ValueError`.

    Where it is not defined, the result is NaN; where it is too large for float64, infinite.
    """
    if text in NAMED:
        plain = NAMED[text]
    else:
        tokens = _tokens(text)
        plain = _parse(tokens)
        if tokens:
            raise ValueError(f"{text!r:.80} is no expression: {tokens[-1]!r} is left over")

    def quiet(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = plain(x)
        return result if np.shape(result) == np.shape(x) else np.full(np.shape(x), result)

    return quiet


def _tokens(text: str) -> list[str]:
    """The words of an expression, the first one last."""
    found, place = [], 0
    if len(text) > LONGEST:
        raise ValueError(f"an expression must have at most {LONGEST} characters, not {len(text)}")
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"{text!r:.80} is no expression: see {text[place : place + 10]!r}")
        found.append(match[1])
        place = match.end()
    return found[::-1]


def _parse(tokens: list[str], depth: int = 0) -> Function:
    """The function of the words up to the end of one argument, which are taken off the list."""
    word = tokens.pop() if tokens and depth < 100 else ""
    if word == "x":
        return lambda x: x
    if word in _CALLS:
        count, call = _CALLS[word]
        parts = []
        for number in range(count):
            _expect(tokens, "," if number else "(")
            parts.append(_parse(tokens, depth + 1))
        _expect(tokens, ")")
        return lambda x: call(*(part(x) for part in parts))
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"an expression knows no {word!r}") from None
    return lambda x: np.full(np.shape(x), value)


def _expect(tokens: list[str], wanted: str) -> None:
    word = tokens.pop() if tokens else "the end"
    if word != wanted:
        raise ValueError(f"an expression must have {wanted!r} where it has {word!r}")
