# SPDX-License-Identifier: Apache-2.0
"""The shipped models and their data; and a model of DeiT-Tiny's size."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits

from hlsgen.examples.digits import train
from hlsgen.examples.digits.augment import Distortion, distort
from hlsgen.examples.digits.data import (
    awkward_calibration,
    awkward_data,
    calibration,
    heldout,
    training,
)
from hlsgen.examples.digits.model import WEIGHTS, VisionTransformer, awkward, digits, untrained
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.ops import Linear, Scores


def test_digits_accuracy_and_size() -> None:
    images, labels = heldout()
    assert len(images) >= 397
    model = digits()
    assert not model.training
    assert train.accuracy(model, images, labels) >= 98.0
    assert WEIGHTS.stat().st_size <= 250_000
    assert sum(parameter.numel() for parameter in model.parameters()) == 26_762
    with safe_open(WEIGHTS, "numpy") as file:
        assert set(file.keys()) == set(model.state_dict())


def test_images_are_scikit_learns() -> None:
    pixels, labels = load_digits(return_X_y=True)
    parts = [training(), heldout()]
    found = [(image.tobytes(), label) for part in parts for image, label in zip(*part, strict=True)]
    images = (pixels / 8.0 - 1.0).astype(np.float32)
    wanted = [(image.tobytes(), label) for image, label in zip(images, labels, strict=True)]
    assert sorted(found) == sorted(wanted)


def test_split_is_fixed_and_disjoint() -> None:
    parts = [{image.tobytes() for image in part()[0]} for part in (training, heldout)]
    assert [len(part()[0]) for part in (training, heldout, calibration)] == [1400, 397, 512]
    assert not parts[0] & parts[1]
    assert {image.tobytes() for image in calibration()[0]} <= parts[0]
    assert heldout()[1][:12].tolist() == HELDOUT_LABELS
    images = training()[0]
    assert (images.min(), images.max(), images.dtype) == (-1.0, 1.0, np.float32)
    assert images.shape[1:] == (1, 8, 8)
    assert set(np.unique(training()[1])) == set(range(10))


HELDOUT_LABELS = [3, 1, 5, 4, 6, 9, 7, 0, 2, 8, 3, 1]


def test_training_is_reproducible() -> None:
    threads = torch.get_num_threads()
    try:
        one, two = (train.train(3, replace(train.RECIPE, epochs=1)).state_dict() for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["head.weight"], untrained().state_dict()["head.weight"])


def test_distortion_keeps_some_images_and_moves_the_others() -> None:
    images = torch.from_numpy(training()[0][:200])
    random = torch.Generator().manual_seed(0)
    moved = distort(images, Distortion(), random)
    same = [torch.equal(a, b) for a, b in zip(images, moved, strict=True)]
    assert 30 < sum(same) < 70
    assert moved.min() >= -1.0
    assert moved.max() <= 1.0 + 1e-6
    nothing = Distortion(turn=0.0, stretch=0.0, move=0.0, kept=0.0)
    assert torch.allclose(distort(images, nothing, random), images, atol=1e-5)
    noisy = distort(images, Distortion(noise=0.1, kept=1.0), random) - images
    assert 0.08 < float(noisy.std()) < 0.12


def test_the_mean_of_weights_follows_them() -> None:
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(layer.weight)
    mean = train.Mean(layer, 0.75)
    torch.nn.init.ones_(layer.weight)
    mean.update()
    mean.apply()
    assert layer.weight.item() == 0.25


def test_the_split_holds_the_same_share_of_every_digit_out() -> None:
    counts = np.bincount(heldout()[1]), np.bincount(training()[1])
    assert all(abs(held / (held + rest) - 397 / 1797) < 0.005 for held, rest in zip(*counts, strict=True))


def test_awkward_is_not_degenerate() -> None:
    images, labels = awkward_data()
    assert images.shape[1:] == (2, 9, 6)
    assert labels.max() < 7
    assert not np.array_equal(awkward_calibration()[0][: len(images)], images)
    graph = capture(awkward(), images[:1])
    values = evaluate(graph, images)
    for node in graph:
        assert 0.1 < values[node.name].std() < 10, node.name
    softmax = values["attentions_0_softmax"]
    assert softmax.max() > 0.9
    assert len(set(values[graph.output][:, 0].argmax(-1).tolist())) == 7
    assert all(torch.equal(a, b) for a, b in zip(awkward().parameters(), awkward().parameters(), strict=True))


def test_deit_tiny_size() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(
        image=224, patch=16, channels=3, width=192, depth=12, heads=3, hidden=768, classes=1000
    ).eval()
    capture(awkward(), awkward_data()[0][:1])  # torch imports much on its first export
    start = time.process_time()
    graph = capture(model, torch.zeros(1, 3, 224, 224))
    assert time.process_time() - start < 5
    kinds = [type(node.op).__name__ for node in graph]
    block = ["LayerNorm", "Linear", "Linear", "Linear", "Scores", "Softmax", "Context", "Linear", "Add"]
    block += ["LayerNorm", "Linear", "Activation", "Linear", "Add"]
    start_kinds, end_kinds = ["Patches", "Linear", "AddConstant"], ["Select", "LayerNorm", "Linear"]
    assert kinds == [*start_kinds, *block * 12, *end_kinds]
    assert graph.node("embedding").type.shape == (197, 192)
    assert graph.node("blocks_11_attn_scores").type.shape == (3, 197, 197)
    assert graph.type_of(graph.output).shape == (1, 1000)
    weights = sum(node.op.weight.size + node.op.bias.size for node in graph if isinstance(node.op, Linear))
    assert weights == sum(p.numel() for n, p in model.named_parameters() if "norm" not in n) - 198 * 192
    assert {node.op.scale for node in graph if isinstance(node.op, Scores)} == {0.125}
