# SPDX-License-Identifier: Apache-2.0
"""The table of operators."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from hlsgen.examples.digits.model import digits
from hlsgen.frontend.inspect import inspect

IMAGE = torch.zeros(1, 1, 8, 8)


def test_supported_model() -> None:
    report = inspect(digits(), IMAGE)
    assert report.supported
    assert report.problems == ()
    counts = {use.op: (use.count, use.status) for use in report.ops}
    assert counts["aten.linear.default"] == (13, {"mapped": 13})
    assert counts["aten.scaled_dot_product_attention.default"] == (3, {"mapped": 3})
    assert counts["aten.layer_norm.default"] == (7, {"mapped": 7})
    assert counts["aten.conv2d.default"] == (1, {"mapped": 1})
    assert counts["aten.add.Tensor"] == (7, {"folded": 1, "mapped": 6})
    assert counts["aten.dropout.default"] == (3, {"folded": 3})
    assert all(use.supported for use in report.ops)
    linear = next(use for use in report.ops if use.op == "aten.linear.default")
    assert [module for module, _ in linear.places][:4] == [
        "blocks.0.attn.qkv",
        "blocks.0.attn.proj",
        "blocks.0.mlp.fc1",
        "blocks.0.mlp.fc2",
    ]
    assert all(Path(location.partition(":")[0]).name == "model.py" for _, location in linear.places)
    assert str(report).endswith("calls of 15 ops: all supported")


class Bad(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = digits()

    def forward(self, image: Tensor) -> Tensor:
        unused = torch.cumsum(image, 0)
        del unused
        return torch.softmax(self.model(torch.cumprod(image, -1)), -1)


def test_unsupported_model_lists_everything() -> None:
    report = inspect(Bad().eval(), IMAGE)
    assert not report.supported
    assert report.graph is None
    assert [problem.what for problem in report.problems] == [
        "aten.cumprod.default is not supported",
    ]
    uses = {use.op: use for use in report.ops}
    assert (uses["aten.cumprod.default"].supported, uses["aten.cumprod.default"].status) == (
        False,
        {"refused": 1},
    )
    assert (uses["aten.cumsum.default"].supported, uses["aten.cumsum.default"].status) == (
        True,
        {"unused": 1},
    )
    assert uses["aten.linear.default"].status == {"mapped": 13}
    text = str(report)
    assert "aten.softmax.int                               1  yes        unused 1\n" in text
    assert report.notes[0].startswith("output: softmax is left to the host")
    assert f"{Path(__file__).name}:" in text
    assert "1 problem(s)" in text
    assert text.endswith(str(report.problems[-1]))
    document = json.loads(json.dumps(report.as_dict()))
    assert document["supported"] is False
    assert document["problems"][0]["what"] == "aten.cumprod.default is not supported"
    assert document["problems"][0]["code"] == "HG101"
    assert document["ops"][0].keys() == {"op", "count", "supported", "status", "places"}


class Fails(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        raise ValueError(f"broken for {list(image.shape)}")


def test_model_that_does_not_run() -> None:
    report = inspect(Fails().eval(), IMAGE)
    assert report.ops == ()
    assert [problem.why for problem in report.problems] == ["ValueError: broken for [1, 1, 8, 8]"]
    assert "0 calls of 0 ops: 1 problem(s)" in str(report)
