# SPDX-License-Identifier: Apache-2.0
"""Masks and biases in every spelling: the Graph computes what the module does, and equal ones are equal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.attending import TOKENS, Attend, Model, captured
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import MixedScores, Scores


def _soft(scores: Tensor, v: Tensor) -> Tensor:
    return scores.softmax(-1) @ v


LOWEST = torch.finfo(torch.float32).min
CAUSAL: dict[str, Attend] = {
    "flag": lambda _, q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
    "bool": lambda m, q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=m.seen[None, None]),
    "float": lambda m, q, k, v: scaled_dot_product_attention(
        q, k, v, attn_mask=torch.zeros(TOKENS, TOKENS).masked_fill(~m.seen, LOWEST)
    ),
    "fill": lambda m, q, k, v: _soft(m.scores(q, k).masked_fill(~m.seen, -torch.inf), v),
    "fill_tensor": lambda m, q, k, v: _soft(m.scores(q, k).masked_fill(~m.seen, torch.tensor(-1e9)), v),
    "where": lambda m, q, k, v: _soft(torch.where(m.seen, m.scores(q, k), -1e4), v),
    "where_not": lambda m, q, k, v: _soft(torch.where(~m.seen, torch.tensor(LOWEST), m.scores(q, k)), v),
    "added": lambda m, q, k, v: _soft(m.scores(q, k) + torch.full((TOKENS, TOKENS), -torch.inf).triu(1), v),
    "a_hundred": lambda m, q, k, v: _soft(m.scores(q, k) + torch.where(m.seen, 0.0, -100.0), v),
    "products": lambda m, q, k, v: _soft(m.scores(q, k) + (1.0 - m.seen.float()) * -10000.0, v),
    "queries_first": lambda m, q, k, v: _soft((k @ q.mT).mT.masked_fill(~m.seen, -1e9) * 6**-0.5, v),
}
BIASED: dict[str, Attend] = {
    "float": lambda m, q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=m.bias),
    "added": lambda m, q, k, v: _soft(m.scores(q, k) + m.bias, v),
    "before_the_scale": lambda m, q, k, v: _soft((q @ k.mT + m.bias * 6**0.5) * 6**-0.5, v),
    "and_rows": lambda m, q, k, v: _soft(m.scores(q, k) + m.bias + torch.arange(9.0)[:, None], v),
}
OTHERS: dict[str, Attend] = {
    "both": lambda m, q, k, v: _soft((m.scores(q, k) + m.bias).masked_fill(~m.seen, -torch.inf), v),
    "a_row_of_none": lambda m, q, k, v: scaled_dot_product_attention(
        q, k, v, attn_mask=m.seen & (torch.arange(9) > 2)
    ),
    "mixed_heads": lambda m, q, k, v: _soft(
        m.mix(m.scores(q, k).permute(0, 2, 3, 1)).permute(0, 3, 1, 2).masked_fill(~m.seen, -torch.inf), v
    ),
    "mixed_after_a_bias": lambda m, q, k, v: _soft(
        m.mix((m.scores(q, k) + m.bias).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), v
    ),
    "mixed_weights": lambda m, q, k, v: (
        m.mix(m.scores(q, k).masked_fill(~m.seen, -1e9).softmax(-1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        @ v
    ),
}
NOTHING: dict[str, Attend] = {
    "ones": lambda m, q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=m.seen | True),
    "zeros": lambda m, q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=m.bias * 0),
    "rows": lambda m, q, k, v: _soft(m.scores(q, k) + torch.arange(9.0)[:, None], v),
    "fill": lambda m, q, k, v: _soft(m.scores(q, k).masked_fill(m.seen & ~m.seen, -1e9), v),
}


def _biases(graph: Graph) -> list[np.ndarray | None]:
    return [node.op.bias for node in graph if isinstance(node.op, Scores | MixedScores)]


@pytest.mark.parametrize("group", [CAUSAL, BIASED], ids=["causal", "biased"])
def test_equal_spellings_are_equal(group: dict[str, Attend]) -> None:
    graphs = {name: captured(way) for name, way in group.items()}
    first = next(iter(graphs.values()))
    (bias,) = _biases(first)
    assert bias is not None
    for name, graph in graphs.items():
        assert str(graph) == str(first), name
        (found,) = _biases(graph)
        assert found is not None
        assert np.array_equal(np.isneginf(found), np.isneginf(bias)), name
        if group is CAUSAL:
            np.testing.assert_array_equal(found, bias, err_msg=name)


def test_a_minus_infinity_that_a_file_holds_is_no_weight() -> None:
    """A saved export has the number that fills a mask among its constants."""

    def fill(m: Model, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _soft(torch.where(m.seen, m.scores(q, k), torch.tensor(float("-inf"))), v)

    program = torch.export.export(Model(fill).eval(), (torch.zeros(1, 2, 12, 12),))
    (found,), (bias,) = _biases(capture(program)), _biases(captured(CAUSAL["flag"]))
    assert found is not None
    np.testing.assert_array_equal(found, bias)


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    assert any(bias is not None for bias in _biases(captured(OTHERS[name])))


@pytest.mark.parametrize("name", NOTHING)
def test_what_changes_no_softmax_is_left_out(name: str) -> None:
    assert _biases(captured(NOTHING[name])) == [None]


ROW = torch.arange(9)[:, None] == 3
"""A query that sees no key."""


def _shown(m: Model, q: Tensor, k: Tensor, number: float = -math.inf) -> Tensor:
    return m.scores(q, k).masked_fill(~m.seen | ROW, number).softmax(-1)


BEHIND: dict[str, Attend] = {
    "uniform": lambda m, q, k, v: _soft(m.scores(q, k).masked_fill(ROW, -1e9), v),
    "nan_to_num": lambda m, q, k, v: torch.nan_to_num(_shown(m, q, k)) @ v,
    "nan_to_num behind": lambda m, q, k, v: torch.nan_to_num(_shown(m, q, k) @ v),
    "isnan": lambda m, q, k, v: torch.where((p := _shown(m, q, k)).isnan(), 0.0, p) @ v,
    "filled": lambda m, q, k, v: _shown(m, q, k, -1e9).masked_fill(~m.seen | ROW, 0.0) @ v,
    "multiplied": lambda m, q, k, v: (_shown(m, q, k, -1e9) * (m.seen & ~ROW)) @ v,
    "chosen": lambda m, q, k, v: torch.where(m.seen & ~ROW, _shown(m, q, k, -1e30), 0.0) @ v,
}


@pytest.mark.parametrize("name", BEHIND)
def test_queries_without_keys_give_zeros(name: str) -> None:
    model = Model(BEHIND[name]).eval()
    image = np.random.default_rng(1).normal(size=(1, 2, 12, 12)).astype(np.float32)
    graph = capture(model, image)
    with torch.no_grad():
        wanted = model.double()(torch.from_numpy(image).double())[0].numpy()
    np.testing.assert_allclose(evaluate(graph, image)[graph.output][0], wanted, atol=1e-6)


REFUSED: dict[str, tuple[Attend, str]] = {
    "computed": (
        lambda _, q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=q @ k.mT),
        "the attention mask must be a constant, not computed from the image",
    ),
    "replaced": (
        lambda m, q, k, v: _soft(m.scores(q, k).masked_fill(~m.seen, 0.5), v),
        "a constant takes the place of attention scores that count",
    ),
    "zeroed": (
        lambda m, q, k, v: (m.scores(q, k).softmax(-1) * m.seen) @ v,
        "attention weights of keys that count are put to zero",
    ),
    "replaced_nan": (
        lambda m, q, k, v: torch.nan_to_num(m.scores(q, k).softmax(-1), 1.0) @ v,
        "a query that sees no key must give zeros, not 1",
    ),
    "infinite": (
        lambda m, q, k, v: _soft(m.scores(q, k) + torch.full((9, 9), torch.inf).triu(1), v),
        "an attention bias must be finite, or -inf where it hides a key",
    ),
    "mixed_after_hidden": (
        lambda m, q, k, v: _soft(
            m.mix((m.scores(q, k) + torch.full((9, 9), -torch.inf).triu(1)).permute(0, 2, 3, 1)).permute(
                0, 3, 1, 2
            ),
            v,
        ),
        "scores of hidden keys are mixed over the heads",
    ),
    "tokens": (
        lambda m, q, k, v: _soft(m.scores(q, k), torch.relu(v).masked_fill(m.seen[:, :6], 0.0)),
        "constants are joined to computed tokens",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    way, what = REFUSED[name]
    with pytest.raises(UnsupportedModel) as caught:
        capture(Model(way).eval(), np.zeros((1, 2, 12, 12), np.float32))
    assert what in [problem.what for problem in caught.value.problems]
    assert all(problem.where for problem in caught.value.problems)
