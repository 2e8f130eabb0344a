# SPDX-License-Identifier: Apache-2.0
"""Patches of an image with constants around it, or of a part of it, in many spellings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support import ways
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.frontend.rules.cut import match_patches
from hlsgen.ops import Patches

IMAGE = (3, 15, 14)
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


class Model(ways.Model):
    """`way` takes the image."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__(way, 10)
        self.dense = nn.Conv2d(3, 10, 4, 3, padding=1)
        self.mean = nn.Parameter(torch.rand(3, 1, 1))

    def tokens(self, image: Tensor) -> Tensor:
        return image

    def rows(self, x: Tensor) -> Tensor:
        """Patches without a convolution."""
        return functional.linear(x, self.embed.weight.flatten(1), self.embed.bias)


def flat(x: Tensor) -> Tensor:
    return x.flatten(2).mT


def padded(x: Tensor, value: float = 0.0) -> Tensor:
    return functional.pad(x, (0, 2, 0, 1), value=value)


def by_steps(x: Tensor) -> Tensor:
    """As `transformers` pads: first the width, then the height."""
    x = functional.pad(x, (0, 4 - x.shape[3] % 4))
    return functional.pad(x, (0, 0, 0, 4 - x.shape[2] % 4))


def channels_last(model: Model, x: Tensor) -> Tensor:
    """The elements of a patch in the order (y, x, c)."""
    rows = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
    return functional.linear(rows, model.embed.weight.permute(0, 2, 3, 1).flatten(1), model.embed.bias)


def reshaped(x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, 16 * c)


WAYS: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "behind the image": lambda m, x: flat(m.embed(padded(x))),
    "by steps": lambda m, x: flat(m.embed(by_steps(x))),
    "all around": lambda m, x: flat(m.embed(functional.pad(x, (1, 1, 1, 2)))),
    "with a number": lambda m, x: flat(m.embed(padded(x, 0.5))),
    "of normalised pixels": lambda m, x: flat(m.embed(padded((x - m.mean) / 0.25))),
    "normalised afterwards": lambda m, x: flat(m.embed((padded(x) - m.mean) / 0.25)),
    "unfolded": lambda m, x: m.rows(functional.unfold(padded(x), 4, stride=4).mT),
    "unfolded with padding": lambda m, x: m.rows(functional.unfold(x, 4, stride=3, padding=2).mT),
    "reshaped": lambda m, x: m.rows(reshaped(padded(x))),
    "channels last": lambda m, x: channels_last(m, padded(x)),
    "joined": lambda m, x: flat(m.embed(torch.cat([x, x.new_zeros(len(x), 3, 1, 14)], 2)[..., :12])),
    "overlapping": lambda m, x: flat(m.dense(padded(x))),
    "a part": lambda m, x: flat(m.embed(x[..., 1:13, 2:10])),
    "a part, overlapping": lambda m, x: flat(m.dense(x[..., :-1])),
    "some columns": lambda m, x: m.rows(functional.unfold(x[..., :12], 4, stride=4).mT)[:, 3:],
}


@pytest.mark.parametrize("name", WAYS)
def test_a_program_of_it_is_equal(name: str) -> None:
    images = ways.pictures(IMAGE)
    ways.check_program(ways.check_floats(Model(WAYS[name]), images), images)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_pixels_that_are_made_of_others(mode: str) -> None:
    model = Model(lambda m, x: flat(m.embed(functional.pad(x, (0, 2, 0, 1), mode=mode)))).eval()
    with pytest.raises(UnsupportedModel, match=r"padding: the tensor is padded by \[0, 2, 0, 1\]"):
        capture(model, torch.zeros(1, *IMAGE))


def test_zeros_where_the_image_has_pixels() -> None:
    model = Model(lambda m, x: flat(m.dense(x[..., 2:, :]))).eval()
    with pytest.raises(UnsupportedModel, match="a linear layer on the image must read patches of it"):
        capture(model, torch.zeros(1, *IMAGE))


OPS = [
    Patches(patch=(4, 7)),
    Patches(patch=(3, 2), stride=(2, 3)),
    Patches(patch=(4, 4), padding=(2, -1, 3, 3)),
    Patches(patch=(2, 2), stride=(4, 5), padding=(-1, -2, 1, 0)),
    Patches(patch=(5, 3), stride=(1, 1), padding=(4, 4, 2, 2)),
]


@pytest.mark.parametrize("op", OPS)
def test_rows_of_pixels_in_any_order(op: Patches) -> None:
    image, draw = (2, 15, 14), np.random.default_rng(1)
    ids = op.reference(np.arange(1, np.prod(image) + 1).reshape(image)) - 1
    rows = draw.permutation(len(ids))
    found = match_patches(image, ids[rows])
    assert found is not None
    patches, order = found
    assert patches.windows(15, 14) == op.windows(15, 14)
    np.testing.assert_array_equal(rows[order], np.arange(len(ids)))


def test_rows_that_are_no_patches() -> None:
    image = (2, 6, 6)
    ids = Patches(patch=(3, 3)).reference(np.arange(72).reshape(image))
    assert match_patches(image, ids) is not None
    assert match_patches(image, ids[:3]) is None
    assert match_patches(image, ids[:, :-1]) is None
    assert match_patches(image, ids[:, ::-1]) is None
    assert match_patches(image, ids[[0, 1, 2, 2]]) is None
    assert match_patches(image, np.where(np.arange(18) == 4, -1, ids)) is None
    assert match_patches(image, ids[:0]) is None
    assert match_patches(image, np.concatenate([ids, np.full((1, 18), -1)])) is None
    moved = ids.copy()
    moved[3, 0] = 0
    assert match_patches(image, moved) is None
