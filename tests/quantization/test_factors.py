# SPDX-License-Identifier: Apache-2.0
"""Elements of norms get powers of two, the layers behind take them back: an equal Graph with less noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.token_graphs import Tokens

from hlsgen.errors import UsageError
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import GroupedLinear, LayerNorm, Linear, RMSNorm
from hlsgen.ops.norm import IntegerNorm, Norm
from hlsgen.quantization import QuantizeConfig, quantize
from hlsgen.quantization.factors import GAIN, Error, Rows, chosen, with_factors
from hlsgen.quantization.fold import fold

pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
WIDTH = 16


def test_only_weights_that_are_rounded_lose_something() -> None:
    """A row's largest weight is its unit times 127, and zeros stay: a layer that copies loses nothing."""
    exponents, squares = np.array([0, 1, 3]), np.array([9.0, 1.0, 0.25])
    copied = Error(0.01, squares, np.diag([2.0, -1.0, 0.5]))
    assert copied.of(exponents) == pytest.approx(0.01 * (4.0 + 1.0 / 4 + 0.25 / 64))
    row = Error(0.01, squares, np.array([[2.0, -1.0, 0.0]]))
    rounded = squares[1] * 4.0 * (2.0 / 127) ** 2
    assert row.of(exponents) == pytest.approx(0.01 * (4.0 + 1.0 / 4) + rounded)


def _graph(kind: Callable[..., Norm] = LayerNorm, outlier: float = 30.0, heads: int = 1) -> Graph:
    """One channel of a norm's rows is far larger than all others, and counts as much; two readers."""
    t, random = Tokens(9, WIDTH, 1), np.random.default_rng(3)
    weight = random.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    x = t.add(Linear(weight=weight, bias=np.where(np.arange(WIDTH) == 5, outlier, 0.0)), t.x)
    gamma, beta = random.uniform(0.5, 2.0, WIDTH), random.normal(size=WIDTH)
    gamma[5] /= 1.0 + outlier
    rows = t.add(kind(gamma=gamma, beta=beta, eps=1e-5, heads=heads), x)
    grouped = GroupedLinear(groups=2, weight=random.normal(size=(12, WIDTH // 2)), bias=np.zeros(12))
    first = t.linear(t.add(grouped, rows), 8)
    return t.graph.finish(first, t.linear(rows, 8), names=("first", "second"))


def _images(graph: Graph, count: int = 48) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *graph.input_type.shape))


def _norm(graph: Graph) -> Norm | IntegerNorm:
    (op,) = (node.op for node in graph if isinstance(node.op, Norm | IntegerNorm))
    return op


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_the_graph_stays_equal(kind: Callable[..., Norm]) -> None:
    before = fold(_graph(kind))
    images = _images(before)
    after = with_factors(before, images, "auto")
    gamma = _norm(after).gamma  # type: ignore[union-attr]
    assert gamma[5] == gamma.min() == 1.0
    assert set(np.log2(gamma).tolist()) <= set(range(8))
    assert np.median(gamma) >= 2.0
    one, two = evaluate(before, images), evaluate(after, images)
    for name in before.outputs:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_integers_have_less_noise(kind: Callable[..., Norm]) -> None:
    graph = _graph(kind)
    images = _images(graph)
    quality = {}
    for choice in ("off", "auto", "on"):
        made = quantize(graph, images, QuantizeConfig(norm_factors=choice, activations="min-max"))
        quality[choice] = made.report.tensor(made.graph.outputs[1]).sqnr_db
        shifts = _norm(made.graph).shifts  # type: ignore[union-attr]
        assert (shifts is None) == (choice == "off")
        if shifts is None:
            assert made.report.norms == ()
        else:
            (norm,) = made.report.norms
            assert (norm.elements, norm.most) == (WIDTH, shifts.max())
            assert norm.shifted == np.count_nonzero(shifts) > WIDTH // 2
            text = (
                f"{norm.name}: {norm.shifted} of 16 elements have a scale of their own, up to {2**norm.most} "
            )
            assert text in str(made.report)
    assert quality["auto"] > quality["off"] + 3.0
    assert quality["on"] >= quality["auto"]


def test_a_norm_that_gains_nothing_has_none() -> None:
    graph = fold(_graph(outlier=0.0))
    assert with_factors(graph, _images(graph), "auto") is graph


def test_a_norm_by_head_has_none() -> None:
    graph = fold(_graph(heads=2))
    assert with_factors(graph, _images(graph), "on") is graph


def _rows(largest: np.ndarray, count: int = 400) -> Rows:
    rows = Rows(len(largest))
    rows.update(np.random.default_rng(2).uniform(-1, 1, (count, len(largest))) * largest)
    return rows


def _noise(rows: np.ndarray, weight: np.ndarray, exponents: np.ndarray) -> float:
    """The mean square error of results, with 8 bits for the rows and for each row of weights."""
    x, w = rows * 2.0**exponents, weight / 2.0**exponents
    step, unit = np.abs(x).max() / 127, np.abs(w).max(-1, keepdims=True) / 127
    return float(((np.round(x / step) * step @ (np.round(w / unit) * unit).T - rows @ weight.T) ** 2).mean())


@pytest.mark.parametrize("seed", range(4))
def test_no_exponent_alone_leaves_clearly_less_noise(seed: int) -> None:
    """The estimate against the noise itself, one element at a time."""
    random = np.random.default_rng(seed)
    largest = 2.0 ** random.uniform(-6, 3, 12)
    largest[0] = 16.0
    weight = random.normal(size=(40, 12)) * 2.0 ** random.uniform(-3, 3, 12)
    rows = random.uniform(-1, 1, (4000, 12)) * largest
    seen = Rows(12)
    seen.update(rows)
    found = chosen(seen, [weight], "on")
    least = _noise(rows, weight, found)
    assert least <= _noise(rows, weight, np.zeros(12, int))
    room = np.clip(np.floor(np.log2(np.abs(rows).max() / np.abs(rows).max(0))), 0, 7)
    for element in range(12):
        for exponent in {max(0, found[element] - 1), min(room[element], found[element] + 1)}:
            other = found.copy()
            other[element] = exponent
            assert _noise(rows, weight, other) > 0.8 * least


def test_weights_that_dominate_their_rows_keep_their_elements_small() -> None:
    """An element whose weight is each row's largest gets a factor: the unit of the weights falls with it."""
    largest = np.array([8.0, 1.0, 1.0])
    heavy = chosen(_rows(largest), [np.array([[1.0, 1.0, 100.0]])], "on")
    light = chosen(_rows(largest), [np.array([[100.0, 1.0, 1.0]])], "on")
    assert heavy[2] >= 2
    assert light.sum() == 0


def test_little_gain_is_not_taken_by_itself() -> None:
    largest = np.array([2.2, 1.0, 1.0, 2.2, 2.2, 2.2])
    weight = np.random.default_rng(5).normal(size=(30, 6))
    assert GAIN == 0.5
    assert chosen(_rows(largest), [weight], "on").any()
    assert not chosen(_rows(largest), [weight], "auto").any()


def test_rows_of_zeros_and_constant_results_have_none() -> None:
    weight = np.ones((2, 3))
    assert not chosen(_rows(np.zeros(3)), [weight], "on").any()
    assert not chosen(_rows(np.ones(3)), [np.zeros((2, 3))], "on").any()


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        QuantizeConfig(norm_factors="always")
    assert caught.value.problems[0].what == "norm_factors must be one of off, auto, on, not 'always'"
