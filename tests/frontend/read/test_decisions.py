# SPDX-License-Identifier: Apache-2.0
"""Numbers of constants reach an export; numbers of the image, and what follows them, never do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hlsgen.frontend.read.decisions import decided

IMAGE = torch.ones(1, 1, 2, 3)


class Model(nn.Module):
    def __init__(self, scale: Callable[[Tensor, Tensor], float]) -> None:
        super().__init__()
        self.table, self.scale = nn.Buffer(torch.tensor([3.0, 4.0])), scale

    def forward(self, image: Tensor) -> Tensor:
        return image * self.scale(self.table, image)


def _factor(scale: Callable[[Tensor, Tensor], float]) -> float:
    model = Model(scale)
    with decided(model, (IMAGE,), {}):
        exported = torch.export.export(model, (IMAGE,))
    return exported.module()(torch.full((1, 1, 2, 3), -5.0))[0, 0, 0, 0].item() / -5


def _loop(table: Tensor, _: Tensor) -> float:
    total = 0
    for number in table.tolist():
        total += int(number) if table.max() > number else 10
    return total + len(range(int(table.sum())))


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        (lambda table, _: int(table[1].item()), 4),
        (_loop, 20),
        (lambda table, _: 2 if bool(table.any()) else 5, 2),
        (lambda table, image: int(torch.zeros_like(image).sum().item()) + int(table[0]), 3),
    ],
)
def test_numbers_of_constants(scale: Callable, wanted: float) -> None:
    if wanted == 3:
        # What has the image's shape alone is counted as the image's: better too few than one too many.
        with pytest.raises(Exception, match="data-dependent"):
            _factor(scale)
        return
    assert _factor(scale) == wanted


@pytest.mark.parametrize(
    "scale",
    [
        lambda _, image: 2 if image.sum() > 0 else 3,
        lambda _, image: int(image.mean()),
        lambda table, image: int(table[int(image.amax())]),
        lambda table, image: 2 if table.clone().add_(image.sum()).sum() > 0 else 3,
        lambda table, image: 2 if image.flatten()[:2].mul(table).sum() > 0 else int(table[0]),
    ],
)
def test_numbers_of_the_image_stop_the_export(scale: Callable) -> None:
    with pytest.raises(Exception, match=r"data-dependent|item|guard"):
        _factor(scale)


def test_memory_that_is_given_back_is_no_image() -> None:
    """A tensor of the image that is gone leaves its memory to nobody whose numbers are wanted."""

    def scale(table: Tensor, image: Tensor) -> float:
        for _ in range(8):
            image.mul(2)
        return int(table.mul(1).sum().item())

    assert _factor(scale) == 7
