# SPDX-License-Identifier: Apache-2.0
"""What is written in place is read as a new value, where nothing looks at the old one again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import ways
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 its usual name

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.frontend.rules.constants import functional

WIDTH = 16


class Model(ways.Model):
    """Two layers."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__(way, WIDTH)
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.gain = nn.Parameter(torch.rand(WIDTH))

    def branch(self, x: Tensor) -> Tensor:
        return self.a(self.norm(x))


def on_branch(write: Callable[[Model, Tensor], object]) -> Callable[[Model, Tensor], Tensor]:
    """x + b(y), where y = a(norm(x)) was written in place."""

    def way(model: Model, x: Tensor) -> Tensor:
        y = model.branch(x)
        write(model, y)
        return x + model.b(y)

    return way


def used_before(model: Model, x: Tensor) -> Tensor:
    y = model.branch(x)
    z = y + 1
    y.mul_(2)
    return x + model.b(y) + z


def by_another_name(model: Model, x: Tensor) -> Tensor:
    y = model.branch(x)
    z = y
    y.mul_(2)
    return x + model.b(z)


def through_a_view(model: Model, x: Tensor) -> Tensor:
    y = model.branch(x)
    z = y.view(-1, 4, 4, WIDTH)
    y.mul_(2)
    return x + model.b(z.flatten(1, 2))


def stream(model: Model, x: Tensor) -> Tensor:
    x = x.clone()
    x += model.branch(x)
    return x.add_(model.b(model.norm(x)), alpha=0.5)


def turned(_: Model, y: Tensor) -> None:
    y.transpose_(1, 2).relu_()
    y.transpose_(1, 2)


WAYS = {
    "copy_": on_branch(lambda m, y: y.copy_(m.b(y))),
    "zero_": lambda m, x: x + m.branch(x).zero_(),
    "fill_": lambda m, x: x + m.branch(x).fill_(0.5),
    "relu_": on_branch(lambda _, y: y.relu_()),
    "gelu_": on_branch(lambda _, y: torch.ops.aten.gelu_(y)),
    "inplace=True": on_branch(lambda _, y: F.relu(y, inplace=True)),
    "dropout": on_branch(lambda m, y: F.dropout(F.relu(y), 0.5, m.training, inplace=True)),
    "squeeze_": on_branch(lambda _, y: y.unsqueeze_(0).squeeze_(0)),
    "transpose_": on_branch(turned),
    "addcmul_": on_branch(lambda m, y: y.addcmul_(m.b(y), m.gain)),
    "lerp_": on_branch(lambda m, y: y.lerp_(m.b(y), 0.3)),
    "pow_": on_branch(lambda _, y: y.pow_(2).neg_()),
    "a chain": on_branch(lambda _, y: y.sigmoid_().mul_(3.0).sub_(1.0)),
    "a part": on_branch(lambda _, y: y[:, :4].mul_(2.0)),
    "rows": on_branch(lambda m, y: y[:, 2:4].add_(m.gain)),
    "used before": used_before,
    "by another name": by_another_name,
    "through a view": through_a_view,
    "stream": stream,
}


@pytest.mark.parametrize("name", WAYS)
def test_as_a_new_value(name: str) -> None:
    ways.check_floats(Model(WAYS[name]), ways.pictures((3, 16, 16)))


def test_the_image_stays() -> None:
    class Scaled(Model):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.mul_(2.0))

    with pytest.raises(UnsupportedModel, match="must not change the input, a weight or a buffer"):
        capture(Scaled(stream).eval(), torch.randn(1, 3, 16, 16))


@pytest.mark.parametrize(
    ("inplace", "made"),
    [
        ("aten.add_.Tensor", "aten.add.Tensor"),
        ("aten.pow_.Scalar", "aten.pow.Tensor_Scalar"),
        ("aten.pow_.Tensor", "aten.pow.Tensor_Tensor"),
        ("aten.transpose_.default", "aten.transpose.int"),
        ("aten.floor_divide_.Tensor", "aten.floor_divide.default"),
        ("aten.fill_diagonal_.default", "aten.fill_diagonal_.default"),  # there is none
        ("aten.relu.default", "aten.relu.default"),
        ("aten.detach_.default", "aten.detach_.default"),  # it writes nothing
    ],
)
def test_the_operator_of_a_new_value(inplace: str, made: str) -> None:
    assert functional(inplace) == made
