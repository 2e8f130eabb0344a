# SPDX-License-Identifier: Apache-2.0
"""Outputs in an order of the model's own: tokens leave the machine, a view restores the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hlsgen.frontend.capture import capture
from hlsgen.frontend.rules.shown import strided
from hlsgen.frontend.rules.terms import Refusal
from hlsgen.ir import View, results
from hlsgen.ops import Matmul
from tests.support.outputs import WIDTH, Encoder, pictures


def grid(x: Any) -> Any:
    """[1, 7, C] as the feature map [1, C, 2, 3]."""
    return x[:, 1:].transpose(1, 2).reshape(1, -1, 2, 3)


CASES = {
    "feature map": (lambda _, x: grid(x.normed), (6, WIDTH), (WIDTH, 2, 3)),
    "feature map of the stream": (lambda _, x: grid(x.last), (6, WIDTH), (WIDTH, 2, 3)),
    "other way up": (lambda _, x: grid(x.last).flip(2), (6, WIDTH), (WIDTH, 2, 3)),
    "pixels": (
        lambda m, x: torch.nn.functional.pixel_shuffle(grid(m.up(x.last)[..., :12]), 2),
        (6, 12),
        (3, 4, 6),
    ),
    "tokens in a row": (lambda _, x: x.normed[:, 2:4].flatten(1), (2, WIDTH), (2 * WIDTH,)),
    "every second token": (lambda _, x: x.normed[:, ::2], (7, WIDTH), (4, WIDTH)),
    "token as a map": (lambda _, x: x.normed[:, 0, :, None, None], (1, WIDTH), (WIDTH, 1, 1)),
    "some channels": (lambda m, x: grid(m.up(x.last)[..., 2:6]), (6, 4), (4, 2, 3)),
    "factor of an activation": (lambda _, x: x.activation.sigmoid() * 10.0 - 3.0, (7, 13), (7, 13)),
    "factors of attention": (
        lambda _, x: grid(x.context * torch.arange(1.0, 1 + WIDTH)),
        (6, WIDTH),
        (WIDTH, 2, 3),
    ),
    "constants": (
        lambda _, x: grid(x.query * 2.0 + torch.arange(float(WIDTH))),
        (6, WIDTH),
        (WIDTH, 2, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_output_in_another_order(name: str) -> None:
    gives, tokens, shape = CASES[name]
    model = Encoder(gives).eval()
    images = pictures(2)
    graph = capture(model, images[:1])
    found = results(graph, images)
    assert found[""].shape[1:] == tokens
    shown = graph.shown(found)[""]
    with torch.no_grad():
        real = np.stack([model(torch.from_numpy(image[None]))[0].numpy() for image in images])
    assert shown.shape[1:] == shape == real.shape[1:]
    np.testing.assert_allclose(shown, real, atol=1e-5)


def test_tokens_in_order_have_no_view() -> None:
    graph = capture(Encoder(lambda _, x: {"a": x.normed, "b": grid(x.last)}).eval(), pictures(1))
    assert graph.views[0] is None
    assert graph.views[1] == View((WIDTH, 2, 3), (WIDTH, 6), (1, WIDTH))
    assert capture(Encoder(lambda _, x: x.normed).eval(), pictures(1)).views == ()


def test_a_factor_that_differs_by_token_is_a_product() -> None:
    by_token = torch.arange(1.0, 7.0).reshape(2, 3)
    graph = capture(Encoder(lambda _, x: grid(x.query) * by_token).eval(), pictures(1))
    assert any(isinstance(node.op, Matmul) for node in graph.nodes)


def test_the_axes_of_a_view() -> None:
    """Any numbers that nested loops count are found again."""
    random = np.random.default_rng(3)
    for _ in range(50):
        sizes = tuple(int(size) for size in random.integers(1, 5, size=4))
        order = random.permutation(4)
        numbers = np.arange(np.prod(sizes) * 2).reshape(*sizes, 2)[..., 1].transpose(order)
        view = strided(numbers)
        shape = numbers.shape[1:] if numbers.shape[0] == 1 else numbers.shape
        np.testing.assert_array_equal(view.of(np.arange(numbers.size * 2)[:, None]), numbers.reshape(shape))
    with pytest.raises(Refusal, match="no order that axes describe"):
        strided(np.array([0, 1, 3, 7, 4]))
