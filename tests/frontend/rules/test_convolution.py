# SPDX-License-Identifier: Apache-2.0
"""A convolution of the image with any kernel, stride and padding is its patches and a linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.ops import Patches


class Embedded(nn.Module):
    """Normalised pixels, a convolution, a class token, a layer that is added, the mean, the classes."""

    def __init__(self, kernel: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel, stride=stride, padding=padding)
        self.token = nn.Parameter(torch.ones(1, 1, 8))
        self.norm, self.layer, self.head = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        mean, deviation = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
        image = (image - mean[:, None, None]) / deviation[:, None, None]
        x = self.conv(image).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), dim=1)
        return self.head((x + self.layer(self.norm(x))).mean(dim=1))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        (7, 4, 2),
        (3, 2, 1),
        ((5, 3), (2, 3), (0, 1)),
        (4, 4, 0),  # leaves pixels out
        (3, 5, 1),  # gaps between patches
        (3, 1, 0),
        ((14, 13), 1, 0),  # one patch
    ],
)
def test_patches_may_overlap(kernel: Any, stride: Any, padding: Any) -> None:
    torch.manual_seed(3)
    model, images = Embedded(kernel, stride, padding).eval(), torch.randn(2, 3, 14, 13)
    graph = capture(model, images[:1])
    found = evaluate(graph, images.double().numpy())[graph.output]
    with torch.no_grad():
        wanted = model.double()(images.double()).numpy()
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-9, atol=1e-12)
    (op,) = [node.op for node in graph if isinstance(node.op, Patches)]
    assert op.patch == (kernel if isinstance(kernel, tuple) else (kernel, kernel))


def test_an_image_in_another_order_is_refused() -> None:
    class Flipped(Embedded):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.flip(-1))

    with pytest.raises(UnsupportedModel, match="must read the image as it is"):
        capture(Flipped(3, 2, 1).eval(), torch.randn(1, 3, 14, 13))
