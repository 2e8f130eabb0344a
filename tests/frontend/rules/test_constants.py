# SPDX-License-Identifier: Apache-2.0
"""Which operators run on constants, within which sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hlsgen.frontend.read.bounds import MOST_ELEMENTS
from hlsgen.frontend.rules.constants import fold, foldable, functional, is_check
from hlsgen.frontend.rules.terms import Refusal

TEN = torch.arange(10.0)


@pytest.mark.parametrize(
    ("target", "args", "wanted"),
    [
        ("aten.clamp.default", (TEN, 2, 4), TEN.clamp(2, 4)),
        ("aten.cumsum.default", (TEN, 0), TEN.cumsum(0)),
        ("aten.diff.default", (TEN * TEN,), (TEN * TEN).diff()),
        ("aten.bucketize.Tensor", (TEN, TEN[::3].contiguous()), torch.bucketize(TEN, TEN[::3].contiguous())),
        ("aten.item.default", (TEN[3],), 3.0),
        ("aten.nonzero.default", (TEN > 7,), torch.tensor([[8], [9]])),
        ("aten.masked_select.default", (TEN, TEN > 7), torch.tensor([8.0, 9.0])),
        ("aten.repeat_interleave.Tensor", (torch.tensor([1, 2]),), torch.tensor([0, 1, 1])),
        ("aten.bincount.default", (torch.tensor([1, 1]),), torch.tensor([0, 2])),
        ("aten.empty.memory_format", ([3],), torch.zeros(3)),
        ("aten.dropout.default", (TEN, 0.5, False), TEN),
        ("aten.to.device", (TEN, torch.device("cuda"), torch.float64), TEN.double()),
        ("<built-in function mul>", (3, 4), 12),
        ("_operator.floordiv", (7, 2), 3),
        ("math.ceil", (2.5,), 3),
    ],
)
def test_an_operator_is_run_once(target: str, args: tuple[Any, ...], wanted: Any) -> None:
    assert foldable(target)
    result = fold(target, args, {})
    assert torch.equal(torch.as_tensor(result), torch.as_tensor(wanted))


@pytest.mark.parametrize(
    "target",
    [
        "aten.rand.default", "aten.randn.default", "aten.randperm.default", "aten.bernoulli.default",
        "aten.multinomial.default", "aten.normal_.default", "aten.uniform_.default", "aten.rrelu.default",
        "aten.from_file.default", "aten.set_.source_Tensor", "aten.resize_.default", "aten.add.out",
        "aten._fused_adam.default", "aten._embedding_bag.default", "aten.nothing.default", "higher.order.x",
        "torchvision.nms.default",
    ],
)  # fmt: skip
def test_random_hidden_and_foreign_operators_are_not(target: str) -> None:
    assert not foldable(target)


@pytest.mark.parametrize(
    ("target", "args"),
    [
        ("aten.zeros.default", ([MOST_ELEMENTS + 1],)),
        ("aten.repeat.default", (TEN, [MOST_ELEMENTS])),
        ("aten.bincount.default", (torch.tensor([MOST_ELEMENTS + 5]),)),
        ("aten.repeat_interleave.Tensor", (torch.tensor([MOST_ELEMENTS + 5]),)),
        ("aten.dropout.default", (TEN, 0.5, True)),
        ("aten.batch_norm.default", (TEN[None], None, None, None, None, True, 0.1, 1e-5, False)),
        ("aten.view.default", (TEN, [3])),
    ],
)
def test_what_is_too_large_or_fails_is_refused(target: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(Refusal):
        fold(target, args, {})


def test_names() -> None:
    assert functional("aten.relu_.default") == "aten.relu.default"
    assert functional("aten.__and__.Tensor") == "aten.__and__.Tensor"
    assert functional("aten.detach_.default") == "aten.detach_.default"
    assert is_check("aten._assert_scalar.default")
    assert not is_check("aten.item.default")
