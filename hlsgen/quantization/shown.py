# SPDX-License-Identifier: Apache-2.0
"""What an activation reads: the range that its function shows, and not what it makes zero."""

from __future__ import annotations

import itertools

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.ops import Activation
from hlsgen.ops.pointwise import LONGEST, Function, compose
from hlsgen.quantization.config import QuantizeConfig, chosen, matched
from hlsgen.quantization.observers import MeanSquareError

_PARTS = 32
"""Of the range that was seen: ends are tried so fine."""
_CUT = 24
"""Parts that each end may lose at most."""
_TAKEN_BACK = len("add(x, -1.2345678901234567e-300)")


def activation_of(graph: Graph, node: Node) -> Activation | None:
    """The activation that alone reads the node, and whose function may have a constant more; else None."""
    users = graph.users(node.name)
    op = users[0].op if len(users) == 1 and node.name not in graph.outputs else None
    if not isinstance(op, Activation):
        return None
    text = called(op.function)
    return op if len(text) + text.count("x") * _TAKEN_BACK < LONGEST // 2 else None


def called(text: str) -> str:
    """An expression of x out of a function's name; expressions as they are."""
    return text if "(" in text or text == "x" else f"{text}(x)"


def taking_back(text: str, lost: float) -> str:
    """The function of an input that lost a constant."""
    return compose(called(text), f"add(x, {float(lost)!r})")


def sees_errors(node: Node, config: QuantizeConfig) -> bool:
    """Whether the observer of what an activation reads looks at errors behind the function."""
    return isinstance(chosen(node.name, config.overrides, config.activations), MeanSquareError)


def middle(
    node: Node, values: np.ndarray, counts: np.ndarray, function: Function, config: QuantizeConfig
) -> float:
    """Of the range whose integers lose least behind the function; values [N] stand for `counts` [N] each.

    No result loses more of the largest one than the node's observer allows; 0 where no range is so good.
    """
    observer = chosen(node.name, config.overrides, config.activations)
    assert isinstance(observer, MeanSquareError)
    levels = 1 << matched(node.name, config.activation_overrides, config.activation_bits)
    low, span, integers = float(values.min()), float(np.ptp(values)), np.arange(levels)
    exact = function(values)
    best, least = 0.0, np.inf
    for left, right in itertools.product(range(_CUT + 1), repeat=2) if span > 0.0 else ():
        if left + right >= _PARTS:
            continue
        bottom = low + span * left / _PARTS
        step = span * (_PARTS - left - right) / _PARTS / (levels - 1)
        index = np.floor((values - bottom) / step + 0.5)
        inside = np.clip(index, 0, levels - 1)
        error = function(bottom + step * integers)[inside.astype(np.intp)] - exact
        loss = float(counts @ (error * error))
        if loss < least and observer.bears(error, exact, index != inside):
            best, least = bottom + step * levels / 2, loss
    return best
