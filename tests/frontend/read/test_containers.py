# SPDX-License-Identifier: Apache-2.0
"""What models return their tensors in: dataclasses as they are, and what PyTorch can't take apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from frontend.read.test_leaves import Returns
from frontend.refused import IMAGE, refusal

from hlsgen.errors import Problem
from hlsgen.frontend.capture import capture
from hlsgen.frontend.read.containers import known


@dataclass
class Plain:
    """A dataclass that nobody has registered with PyTorch."""

    last: Any
    missing: Any = None
    inner: Any = None


SHAPES = {
    "alone": (lambda x, y: Plain(last=x, inner=y), ("last", "inner")),
    "logits": (lambda x, y: {"hidden": x, "logits": Plain(last=y)}, ()),
    "inside": (lambda x, y: [y, {"a": Plain(last=(x, x))}], ("0", "1.a.last.0", "1.a.last.1")),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_field_is_an_output_by_its_name(name: str) -> None:
    make, names = SHAPES[name]
    model = Returns(make).eval()
    assert capture(model, IMAGE).names == names
    assert not model._forward_hooks
    assert isinstance(model(IMAGE), type(make(torch.zeros(1), torch.zeros(1))))


def test_what_is_known_stays_as_it_is() -> None:
    pair = (torch.zeros(1), {"a": None})
    assert known(pair) == pair
    assert known(Plain(last=1)) == {"last": 1, "missing": None, "inner": None}


class Thing:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize(("make", "kind"), [(lambda x, y: {x, y}, "set"), (lambda _, y: Thing(y), "Thing")])
def test_what_can_not_be_taken_apart(make: Any, kind: str) -> None:
    (problem,) = refusal(Returns(make).eval())
    assert problem == Problem(
        "the model must return tensors, or tuples, lists, dictionaries or dataclasses of them",
        why=problem.why,
        fix="return a dictionary, or register the class: torch.utils._pytree.register_pytree_node",
        name="output of another kind",
    )
    assert problem.why.endswith(f"{kind}, which PyTorch can't take apart")
