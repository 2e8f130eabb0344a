# SPDX-License-Identifier: Apache-2.0
"""Constants in the place of tokens, where a constant mask is true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import ways
from torch import Tensor, nn

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture

IMAGE, TOKENS, WIDTH = (3, 12, 12), 9, 8
SOME = (torch.arange(TOKENS) % 4 == 1)[:, None]
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


class Model(ways.Model):
    """A layer, and constant tokens."""

    def __init__(self, way: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__(way, WIDTH)
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.token, self.zero = nn.Parameter(torch.randn(WIDTH)), nn.Parameter(torch.zeros(WIDTH))

    def branch(self, x: Tensor) -> Tensor:
        return self.layer(self.norm(x))


WAYS: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "zeros": lambda m, x: x + m.branch(x).masked_fill(SOME, 0.0),
    "in place": lambda m, x: x + m.branch(x).masked_fill_(SOME, 0.0),
    "a number": lambda m, x: m.branch(x).masked_fill(SOME, 0.5),
    "a mask token": lambda m, x: torch.where(SOME, m.token, x) + m.branch(x),
    "tokens kept": lambda m, x: x + torch.where(~SOME, m.branch(x), 0.0),
    "channels of patches": lambda m, x: m.branch(x.masked_fill(torch.arange(WIDTH) < 3, 0.25)),
    "behind a function": lambda m, x: x + m.layer(torch.relu(m.branch(x)).masked_fill(SOME, -1.0)),
    "by blocks": lambda m, x: m.branch(torch.where(SOME, m.token, torch.where(~SOME, x, m.zero))),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_program_of_it_is_equal(name: str) -> None:
    images = ways.pictures(IMAGE)
    ways.check_program(ways.check_floats(Model(WAYS[name]), images), images)


REFUSED: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "minus infinity": lambda m, x: m.branch(x).masked_fill(SOME, -torch.inf).relu(),
    "a choice of two": lambda m, x: torch.where(SOME, x, m.branch(x)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_constant_or_not_finite(name: str) -> None:
    with pytest.raises(UnsupportedModel, match="a mask that hides tokens is not supported"):
        capture(Model(REFUSED[name]).eval(), torch.randn(1, *IMAGE))
