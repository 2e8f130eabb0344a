# SPDX-License-Identifier: Apache-2.0
"""1,025 tokens, as of a 512x512 image, from PyTorch to the interpreter."""

from __future__ import annotations

import numpy as np

import hlsgen
from hlsgen.examples.vit.data import photographs
from hlsgen.examples.vit.model import VisionTransformer, initialise
from hlsgen.store.samples import make_samples


def test_a_thousand_tokens() -> None:
    model = VisionTransformer(image=512, patch=16, width=48, depth=1, heads=2, classes=10)
    images = photographs(3, seed=8, size=512)
    graph = hlsgen.capture(initialise(model), images[:1])
    tokens = 1025
    assert graph.node("blocks_0_attn_scores").type.shape == (2, tokens, tokens)
    quantized = hlsgen.quantize(graph, images[:2])
    samples = make_samples(graph, quantized.graph, images[2:])
    design = hlsgen.compile(quantized, board="zcu102", array="6x8x16", samples=samples)
    assert [command.row_count(6) for command in design.program.commands].count(tokens) > 5
    result = design.simulate("program", samples=1)
    assert "blocks_0_attn_softmax" in result.tensors
    assert result.elements > 4 * tokens**2
    real = np.concatenate([samples.reference[0], design.predict(images[2:])[0]])  # type: ignore[index]
    assert np.corrcoef(real[:10], real[10:])[0, 1] > 0.99
