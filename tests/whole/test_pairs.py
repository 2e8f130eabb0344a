# SPDX-License-Identifier: Apache-2.0
"""The trained model of two digits and its variants, on the images that are stored beside them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.accuracy.variants import ADDED, VARIANTS
from hlsgen.errors import QuantizationWarning
from hlsgen.examples.pairs.data import calibration, heldout
from hlsgen.examples.pairs.model import SCALE, changed, packed, pairs, unpacked, weights
from hlsgen.ir import outputs, quantize_images
from hlsgen.pipeline import capture, quantize

LEAST = 0.9
"""Share of the stored images."""


def test_the_shipped_weights_are_small() -> None:
    assert weights().stat().st_size <= 3_000_000
    assert sum(weights(variant).stat().st_size for variant in VARIANTS) <= 3_000_000
    stored = load_file(weights())
    kinds = {str(value.dtype) for name, value in stored.items() if name + SCALE in stored}
    assert kinds == {"torch.int8"}


def test_the_integers_classify_images_that_training_never_saw() -> None:
    images, labels = heldout()
    graph = capture(pairs(), images[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # 32 images are few
        integers = quantize(graph, calibration()[0]).graph
    found = outputs(integers, quantize_images(images, integers.input_type)).reshape(len(images), -1)
    assert (found.argmax(1) == labels).mean() >= LEAST


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_outliers_and_is_right_all_the_same(variant: str) -> None:
    """Retuning moves the embeddings a little; the outliers stay what they are."""
    images, labels = heldout()
    model = pairs(variant)
    with torch.no_grad():
        found = model(torch.from_numpy(images)).argmax(1).numpy()
    assert (found == labels).mean() >= LEAST
    moved = (model.pos_embed - pairs().pos_embed).detach()[0]
    for tokens, channel, amount in ADDED[variant]:
        np.testing.assert_allclose(moved[tokens, channel], amount, atol=3.0)
        moved[tokens, channel] = 0.0
    assert float(moved.abs().median()) < 0.5


def test_packing_keeps_a_state_but_for_rounding() -> None:
    torch.manual_seed(0)
    state = {"a.weight": torch.randn(4, 3, 2, 2), "b.weight": torch.randn(5), "b.bias": torch.zeros(5)}
    state["a.weight"][2] = 0.0
    found = unpacked(packed(state))
    assert found.keys() == state.keys()
    assert torch.equal(found["b.weight"], state["b.weight"])
    step = state["a.weight"].abs().amax((1, 2, 3), keepdim=True) / 127
    assert bool(((found["a.weight"] - state["a.weight"]).abs() <= step / 2 + 1e-7).all())


def test_a_variant_replaces_tensors_and_adds_products() -> None:
    up, down = torch.tensor([[1.0], [2.0]]).half(), torch.tensor([[3.0, 4.0]]).half()
    stored = {"w.up": up, "w.down": down, "bias": torch.ones(2)}
    found = changed({"w": torch.zeros(2, 2), "bias": torch.zeros(2), "other": torch.zeros(1)}, stored)
    np.testing.assert_array_equal(found["w"], [[3.0, 4.0], [6.0, 8.0]])
    np.testing.assert_array_equal(found["bias"], [1.0, 1.0])
    assert found.keys() == {"w", "bias", "other"}
