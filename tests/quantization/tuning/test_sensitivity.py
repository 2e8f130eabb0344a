# SPDX-License-Identifier: Apache-2.0
"""Each tensor alone: against a walk of the float Graph in which one tensor is replaced."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.errors import UsageError
from hlsgen.ir import evaluate
from hlsgen.ops import Linear
from hlsgen.quantization import QuantizeConfig, Quantized, quantize
from hlsgen.quantization.tuning.forms import by_table, fewer_bits, numerators, rounded
from hlsgen.quantization.tuning.sensitivity import GAIN_DB, Sensitivity, sensitivity
from tests.quantization.graphs import Vit, images, random_vit

SHAPE = Vit()
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


@cache
def _made() -> Quantized:
    return quantize(random_vit(SHAPE), images(SHAPE, 16), QuantizeConfig(centred=False))


@cache
def _found() -> Sensitivity:
    return sensitivity(_made(), images(SHAPE, 8, seed=1))


def _alone(name: str) -> float:
    """The output's dB when one tensor is rounded, by hand: node by node."""
    made, inputs = _made(), images(SHAPE, 8, seed=1)
    kind = made.graph.type_of(name)
    values: dict[str, np.ndarray] = {made.reference.input: inputs.astype(np.float64)}
    for node in made.reference:
        value = node.op.reference(*(values[source] for source in node.inputs))
        if node.name == name:
            low, high = kind.integer_range
            steps = np.floor(value / kind.scale + 0.5)  # type: ignore[operator]
            value = np.minimum(np.maximum(steps, low), high) * kind.scale
        values[node.name] = value
    real = evaluate(made.reference, inputs)[made.reference.output]
    error = values[made.reference.output] - real
    real, error = real - real.mean(0), error - error.mean(0)
    return 10 * math.log10((real**2).sum() / (error**2).sum())


def test_each_tensor_alone() -> None:
    rows = {row.name: row for row in _found().tensors}
    names = [node.name for node in _made().reference if isinstance(node.op, Linear)]
    assert len(names) > 5
    for name in names:
        assert rows[name].db == pytest.approx(_alone(name), abs=1e-6)
        assert rows[name].bits == _made().graph.type_of(name).bits
    order = [row.db for row in _found().tensors]
    assert order == sorted(order)


def test_each_layer_alone_is_worse_with_fewer_bits() -> None:
    found = {(row.name, row.bits): row.db for row in _found().weights}
    names = {name for name, _ in found}
    assert names == {node.name for node in _made().reference if isinstance(node.op, Linear)}
    assert all(found[name, 8] > found[name, 4] + 15 for name in names)


def test_what_is_suggested_helps() -> None:
    better = [(row, option, db) for row in _found().tensors for option, db in row.better]
    assert better
    assert all(db >= row.db + GAIN_DB for row, _, db in better)
    options = {option for _, option, _ in better}
    assert "centred=True" in options
    assert any(f"%{row.name} ({row.what}): {row.db:.1f} dB" in str(_found()) for row, _, _ in better)


def test_one_image_gives_plain_figures() -> None:
    found = sensitivity(_made(), images(SHAPE, 1, seed=1), worst=0)
    assert found.images == 1
    assert not found.suggestions()
    assert all(math.isfinite(row.db) for row in found.weights)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(UsageError, match="must have shape"):
        sensitivity(_made(), np.zeros((2, 1, 2, 2)))


def test_forms() -> None:
    np.testing.assert_array_equal(
        rounded(np.array([-9.0, -0.26, 0.25, 9.0]), 0.5, -2, 1), [-1, -0.5, 0.5, 0.5]
    )
    rows = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    table = numerics.exp_table(0.05, 10, diffused=True)
    logits = 0.05 * np.random.default_rng(3).integers(-300, 300, (4, 40))
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    found = numerics.exp_lookup(table, np.round(logits / 0.05).astype(np.int64))
    np.testing.assert_allclose(by_table(weights, table, 0.05), found / found.sum(-1, keepdims=True))
    assert not by_table(np.zeros((1, 3)), table, 0.05).any()
    np.testing.assert_allclose(numerators(rows, 255), [[255 / 511, 128 / 511, 128 / 511], [1, 0, 0]])
    layer = Linear(weight=np.array([[7.0, -3.4, 0.4]]), bias=np.zeros(1))
    np.testing.assert_array_equal(np.unique(np.round(fewer_bits(layer, 4).weight)), [-3, 0, 7])
