# SPDX-License-Identifier: Apache-2.0
"""Writes into parts of tensors: the Graph computes what PyTorch does, whoever else holds a view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from frontend.refused import IMAGE, TOKENS, WIDTH, Tiny, refusal
from support.variants import same, seeded
from torch import Tensor

from hlsgen.frontend.capture import capture


def _assigned(x: Tensor, y: Tensor) -> Tensor:
    y[:, 1:3] = x[:, :2]
    return y


def _added(x: Tensor, y: Tensor) -> Tensor:
    y[:, ::2] += x[:, ::2]
    y[:, -1] *= 2
    return y


def _windows(x: Tensor, y: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    grid, mine = whole.view(1, 2, 3, WIDTH), y.view(1, 2, 3, WIDTH)
    for column in range(3):
        grid[:, :, column] = mine[:, :, 2 - column]
    return whole


def _seen_by_a_view(x: Tensor, _: Tensor) -> Tensor:
    last = x[:, -1:]
    x.mul_(2)
    last.add_(1)
    return x + last


def _of_a_split(_: Tensor, y: Tensor) -> Tensor:
    first, second = y.split(3, 1)
    first.copy_(second.flip(1))
    return y


def _constants_too(x: Tensor, _: Tensor) -> Tensor:
    whole = torch.zeros(1, TOKENS, WIDTH, dtype=x.dtype)
    whole[:, 0] = 1
    whole[:, 1:4] = x[:, 1:4]
    whole[:, 4:] = 0.5
    whole[:, 1].zero_()
    return whole


def _by_table(x: Tensor, y: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, torch.tensor([4, 0, 2])] = y[:, :3]
    return whole.index_copy(1, torch.tensor([1, 3]), x[:, :2])


def _copied(x: Tensor, y: Tensor) -> Tensor:
    before = y.clone()
    y[:, 0] = x[:, 1]
    return y + before


def _scattered(x: Tensor, y: Tensor) -> Tensor:
    return y.slice_scatter(x[:, :2], 1, 2, 4).select_scatter(x[:, 5], 1, 0)


def _folded(x: Tensor, y: Tensor) -> Tensor:
    windows = torch.nn.functional.unfold((x + y).mT.unflatten(2, (2, 3)), (2, 1), stride=(2, 1))
    return torch.nn.functional.fold(windows.flip(2), (2, 3), (2, 1), stride=(2, 1)).flatten(2).mT


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    function.__name__[1:]: function
    for function in (
        _assigned,
        _added,
        _windows,
        _seen_by_a_view,
        _of_a_split,
        _constants_too,
        _by_table,
        _copied,
        _scattered,
        _folded,
    )
}


class Writing(Tiny):
    def __init__(self, way: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way

    def mlp(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(self.way(self.proj(x), self.qkv(x)[..., :WIDTH].relu()))))


@pytest.mark.parametrize("name", WAYS)
def test_the_whole_has_the_part_in_its_place(name: str) -> None:
    model = seeded(Writing(WAYS[name]))
    images = np.random.default_rng(1).normal(size=(3, *IMAGE.shape[1:])).astype(np.float32)
    same(model, capture(model, IMAGE), images)


def _twice(x: Tensor, y: Tensor) -> Tensor:
    return y.index_put((torch.tensor([0]), torch.tensor([1, 1])), x[0, :2], accumulate=True)


def _overlapping(x: Tensor, _: Tensor) -> Tensor:
    windows = torch.nn.functional.unfold(x.mT.unflatten(2, (2, 3)), (2, 2))
    return torch.nn.functional.fold(windows, (2, 3), (2, 2)).flatten(2).mT


@pytest.mark.parametrize(
    ("way", "what"),
    [
        (_twice, "results are added twice at one place"),
        (_overlapping, "windows that overlap are added up"),
    ],
)
def test_results_that_meet_at_one_place_are_refused(way: Callable[..., Tensor], what: str) -> None:
    (problem,) = refusal(seeded(Writing(way)))
    assert problem.what == what
    assert "test_writes.py" in problem.where
