# SPDX-License-Identifier: Apache-2.0
"""Products of a model that count: those of hidden keys don't."""

from __future__ import annotations

import numpy as np
from support.token_graphs import Tokens, integers

from hlsgen.lower.macs import useful_macs
from hlsgen.ops import Context, Scores, Softmax
from hlsgen.ops.score_bias import is_seen
from hlsgen.quantization import quantize


def test_hidden_keys_are_no_products() -> None:
    """Windows of three tokens: as many products as attention of three tokens takes, for each."""
    counts = []
    for windows in (1, 4):
        t = Tokens(12, 8, 2)
        near = np.arange(12)[:, None] // (12 // windows) == np.arange(12) // (12 // windows)
        bias = np.where(np.broadcast_to(near, (2, 12, 12)), 0.1, -np.inf)
        q, k, v = t.projections()
        scores = t.add(Scores(heads=2, scale=0.3, bias=bias), q, k)
        graph = t.graph.finish(t.linear(t.add(Context(), t.add(Softmax(), scores), v), 5))
        images = np.random.default_rng(1).normal(size=(4, *graph.input_type.shape))
        counts.append(useful_macs(quantize(graph, images).graph))
    layers = 12 * (96 * 8 + 3 * 8 * 8 + 8 * 5)
    assert counts == [layers + 2 * 12 * 12 * 8, layers + 2 * 12 * 3 * 8]


def test_every_attention_of_a_model_is_counted() -> None:
    graph, _ = integers("masked", 9, 16, 2)
    hidden = sum(
        int((~is_seen(node.op.addends)).sum())  # type: ignore[attr-defined]
        for node in graph
        if getattr(node.op, "addends", None) is not None
    )
    assert hidden > 0
    assert useful_macs(graph) > 0
