# SPDX-License-Identifier: Apache-2.0
"""A float tensor as its integers would show it, and as those of other options would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hlsgen.ir import Graph, Node, TensorType
from hlsgen.ops import Activation, ExpertLinear, GroupedLinear, IntegerExp, Linear, Softmax
from hlsgen.ops.kinds import Kind
from hlsgen.ops.norm import Norm
from hlsgen.quantization.centre import best_range, is_moved
from hlsgen.quantization.factors import Rows, chosen, read_by
from hlsgen.quantization.observers import parse
from hlsgen.quantization.statistics import Histogram

Show = Callable[[np.ndarray], np.ndarray]
Weighted = Linear | GroupedLinear | ExpertLinear


@dataclass(frozen=True)
class Form:
    """A way to show a tensor, and the option that asks for it."""

    option: str
    """As in `QuantizeConfig(...)`."""
    show: Show


def rounded(values: np.ndarray, scale: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """What integers `low..high` times `scale` show of real values."""
    return np.clip(np.floor(values / scale + 0.5), low, high) * scale


def today(node: Node, kind: TensorType, integer: Graph) -> Show | None:
    """What the integers of `kind` show of a node's result; None where they are no rounding of it."""
    exp = integer.node(node.name).op
    if isinstance(exp, IntegerExp):
        scale = integer.type_of(node.inputs[0]).scale or 1.0
        return lambda weights: by_table(weights, exp.table, scale)
    if kind.scale is None:
        return None
    low, high = kind.integer_range
    scale = kind.scale
    return lambda values: rounded(values, scale, low, high)


def by_table(weights: np.ndarray, table: np.ndarray, scale: float) -> np.ndarray:
    """Softmax rows out of a table by logits of this scale, divided by the sum of the numerators."""
    largest = weights.max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        below = -np.log(weights / np.where(largest, largest, 1.0)) / scale
    found = table[np.minimum(np.floor(below + 0.5), len(table) - 1).astype(np.int64)] * (weights > 0.0)
    return found / np.maximum(found.sum(-1, keepdims=True), 1)


def numerators(weights: np.ndarray, one: int) -> np.ndarray:
    """Softmax rows whose largest numerator is `one`, divided by the sum of the numerators."""
    largest = weights.max(-1, keepdims=True)
    found = np.floor(weights * (one / np.where(largest, largest, 1.0)) + 0.5)
    return found / np.maximum(found.sum(-1, keepdims=True), 1.0)


def others(graph: Graph, node: Node, kinds: dict[str, Kind], values: np.ndarray) -> Iterator[Form]:
    """Forms of a node's result that other options of the quantizer give."""
    if isinstance(node.op, Softmax):
        yield Form("numerator_bits=12", lambda x: numerators(x, 4095))
        return
    if kinds[node.name] is Kind.LOGITS:
        yield Form("logit_width=12", _even(values, 12))
        return
    if kinds[node.name] is Kind.INDEX:
        yield Form("activation_bits=10", _even(values, 10))
    elif kinds[node.name] is not Kind.NARROW:
        return
    if isinstance(node.op, Activation) and not is_moved(node.op):
        yield Form("centred=True", _shifted(values))
    if isinstance(node.op, Norm):
        factors = _factors(values, read_by(graph, node.name))
        if factors is not None:
            yield Form("norm_factors='on'", factors)
    yield Form(f"overrides={{'{node.name}': 'min-max'}}", _even(values, 8))


def _even(values: np.ndarray, bits: int) -> Show:
    levels = (1 << (bits - 1)) - 1
    finite = values[np.isfinite(values)]
    scale = float(np.abs(finite).max(initial=0.0)) / levels or 1.0
    return lambda x: np.where(np.isneginf(x), x, rounded(x, scale, -levels - 1, levels))


def _histogram(values: np.ndarray) -> Histogram:
    found = Histogram()
    found.update(values, float(np.abs(values).max(initial=0.0)))
    return found


def _shifted(values: np.ndarray) -> Show:
    middle, step = best_range(*_histogram(values).points())
    return lambda x: rounded(x - middle, step, -128, 127) + middle


def _factors(values: np.ndarray, weights: Sequence[np.ndarray]) -> Show | None:
    """With the powers of two that the quantizer chooses before such weights; None where it has none."""
    rows = Rows(values.shape[-1])
    rows.update(values)
    exponents = chosen(rows, weights, "on")
    if not exponents.any():
        return None
    factors = 2.0**exponents
    scale = float(np.abs(values * factors).max()) / 127 / factors
    return lambda x: rounded(x, scale, -128, 127)


def fewer_bits(op: Weighted, bits: int) -> Weighted:
    """The layer with weights of `bits` bits to nearest, one scale for each output channel."""
    levels = (1 << (bits - 1)) - 1
    rows = op.weight.reshape(-1, op.weight.shape[-1])
    scales = parse("mse" if bits < 8 else "min-max").row_scales(rows, levels)[:, None]
    weight = rounded(rows, np.where(scales > 0.0, scales, 1.0), -levels, levels)
    return replace(op, weight=weight.reshape(op.weight.shape))
