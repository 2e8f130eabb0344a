# SPDX-License-Identifier: Apache-2.0
"""What `inspect` says of the architecture, and that it vouches for nothing it did not reach."""

from __future__ import annotations

import torch
from frontend.refused import IMAGE, Tiny
from support.product_models import Talking
from support.variants import HEADS, Registers, seeded

from hlsgen.frontend.inspect import inspect


def test_the_parts_of_a_model() -> None:
    report = inspect(seeded(Registers()), IMAGE)
    assert report.architecture == {
        "image": "2 x 4 x 6 in patches of 2 x 2: 6",
        "tokens": "9 x 12",
        "attention": "1 layer, 3 heads of 4 channels",
        "norms": "3 LayerNorm",
        "MLP": "20 channels, gelu",
        "pooling": "tokens 3 to 8; mean of 6 tokens",
        "outputs": "1 x 5",
    }
    assert str(report).startswith("image      2 x 4 x 6 in patches of 2 x 2: 6\ntokens     9 x 12\n")
    assert report.as_dict()["architecture"] == report.architecture


def test_heads_that_talk_are_attention() -> None:
    report = inspect(seeded(Talking()), IMAGE)
    assert report.architecture["attention"] == f"1 layer, {HEADS + 1} heads mixed from {HEADS}"


class Blocked(Tiny):
    """An activation of what is refused."""

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.nn.functional.leaky_relu(torch.cumprod(self.norm(x), -1))[:, 0])


def test_what_was_not_reached_is_not_called_supported() -> None:
    report = inspect(Blocked().eval(), IMAGE)
    uses = {use.op: use for use in report.ops}
    assert uses["aten.leaky_relu.default"].status == {"blocked": 1}
    assert not uses["aten.leaky_relu.default"].supported
    row = next(line for line in str(report).splitlines() if line.startswith("aten.leaky_relu"))
    assert row.split()[2:] == ["unknown", "not", "reached", "1"]
    assert [problem.what for problem in report.problems] == ["aten.cumprod.default is not supported"]


class Causal(Tiny):
    """Tokens that see none behind them."""

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        return self.merge(torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))


def test_masks_are_told() -> None:
    report = inspect(seeded(Causal()), IMAGE)
    assert report.architecture["masks"] == "causal mask, 42% of the keys hidden, in 1 of 1 layers"
