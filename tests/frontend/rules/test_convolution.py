# SPDX-License-Identifier: Apache-2.0
"""A convolution of the image with any kernel, stride and padding is its patches and a linear layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.ops import Gather, Patches
from hlsgen.windows import Windows


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


@pytest.mark.parametrize(("width", "fits"), [(13, True), (14, False)])
def test_an_image_in_another_order(width: int, *, fits: bool) -> None:
    """A flipped image has other patches, unless these lie the same from both ends."""

    class Flipped(Embedded):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.flip(-1))

    class Rolled(Embedded):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.roll(1, -1))

    image = torch.randn(1, 3, 14, width)
    model = Flipped(3, 2, 1).eval()
    with torch.no_grad():
        wanted = model(image).numpy()
    graph = capture(model, image)
    (cut,) = (node.op for node in graph if isinstance(node.op, Patches))
    assert (cut.windows(14, width)[1] == Windows.over(width, 3, 2, (1, 1))) == fits
    found = evaluate(graph, image.numpy())[graph.output][:, 0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    with pytest.raises(UnsupportedModel, match="a linear layer on the image must read patches of it"):
        capture(Rolled(3, 2, 1).eval(), image)


class Within(nn.Module):
    """Patches, a norm, a function of the tokens, the mean, the classes."""

    def __init__(self, function: nn.Module, width: int) -> None:
        super().__init__()
        self.conv, self.norm, self.function = nn.Conv2d(3, 24, 4, 4), nn.LayerNorm(24), function
        self.head = nn.Linear(width, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(image).flatten(2).transpose(1, 2))
        return self.head(self.function(x).mean(dim=1))


class OfTokens(nn.Module):
    """A convolution of each token as an image."""

    def __init__(self, conv: nn.Module, *sizes: int) -> None:
        super().__init__()
        self.conv, self.sizes = conv, sizes

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.reshape(-1, *self.sizes)).reshape(len(x), x.shape[1], -1)


class OfGrid(nn.Module):
    """A depthwise convolution of the grid of tokens."""

    def __init__(self, alike: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        if alike:
            with torch.no_grad():
                self.conv.weight.copy_(self.conv.weight[:1].expand_as(self.conv.weight))

    def forward(self, x: Tensor) -> Tensor:
        grid = x.transpose(1, 2).reshape(len(x), -1, 4, 4)
        return self.conv(grid).flatten(2).transpose(1, 2)


class OfHeads(nn.Module):
    """One linear layer for all heads, the heads before the tokens or behind them."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.layer, self.first = nn.Linear(8, 6), first

    def forward(self, x: Tensor) -> Tensor:
        parts = x.reshape(len(x), x.shape[1], 3, 8)
        if self.first:
            return self.layer(parts.transpose(1, 2)).transpose(1, 2).flatten(2)
        return self.layer(parts).flatten(2)


class OfPadded(nn.Module):
    """A linear layer on windows of tokens with a number around them."""

    def __init__(self, value: float, heads: int) -> None:
        super().__init__()
        self.layer, self.value, self.heads = nn.Linear(24 // heads + 3, 8), value, heads

    def forward(self, x: Tensor) -> Tensor:
        parts = functional.pad(x.unflatten(-1, (self.heads, -1)), (1, 2), value=self.value)
        return self.layer(parts).flatten(2)


class OfTable(nn.Module):
    """A constant for each token behind its elements, and a linear layer on both."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.place = nn.Linear(26, 8), nn.Parameter(torch.randn(1, 16, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.cat((x, self.place.expand(len(x), -1, -1)), dim=-1))


WITHIN = {
    "zeros around": (lambda: OfPadded(0.0, 1), 8),
    "numbers around": (lambda: OfPadded(-1.5, 1), 8),
    "numbers around heads": (lambda: OfPadded(2.5, 4), 32),
    "places": (lambda: OfTable(), 8),
    "valid": (lambda: OfTokens(nn.Conv2d(1, 1, (2, 3)), 1, 4, 6), 12),
    "padded": (lambda: OfTokens(nn.Conv2d(2, 3, 3, padding=(1, 2), bias=False), 2, 3, 4), 54),
    "same": (lambda: OfTokens(nn.Conv1d(2, 2, 4, padding="same"), 2, 12), 24),
    "strided": (lambda: OfTokens(nn.Conv2d(1, 4, 2, stride=(2, 3)), 1, 4, 6), 16),
    "dilated": (lambda: OfTokens(nn.Conv1d(4, 8, 2, dilation=3, groups=2), 4, 6), 24),
    "grouped": (lambda: OfTokens(nn.Conv1d(24, 48, 1, groups=4), 24, 1), 48),
    "cube": (lambda: OfTokens(nn.Conv3d(1, 2, 2), 1, 2, 3, 4), 12),
    "heads": (lambda: OfHeads(first=False), 18),
    "heads first": (lambda: OfHeads(first=True), 18),
    "one kernel on the grid": (lambda: OfGrid(alike=True), 24),
}


@pytest.mark.parametrize("name", WITHIN)
def test_tokens_may_be_images_or_have_parts(name: str) -> None:
    torch.manual_seed(4)
    make, width = WITHIN[name]
    model, images = Within(make(), width).eval(), torch.randn(2, 3, 16, 16)
    graph = capture(model, images[:1])
    found = evaluate(graph, images.double().numpy())[graph.output]
    with torch.no_grad():
        wanted = model.double()(images.double()).numpy()
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-7)
    assert wanted.std(0).max() > 1e-2


def test_a_kernel_for_each_channel_of_the_grid_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="depthwise convolution: convolution stride must be"):
        capture(Within(OfGrid(alike=False), 24).eval(), torch.randn(1, 3, 16, 16))


class PaddedGrid(nn.Module):
    """A grid with a border of zeros, as windows need it: these are tokens that the image has not."""

    def forward(self, x: Tensor) -> Tensor:
        grid = functional.pad(x.unflatten(1, (4, 4)), (0, 0, 1, 1, 1, 1))
        return grid.flatten(1, 2)


def test_a_border_of_tokens_is_rows_of_zeros() -> None:
    torch.manual_seed(4)
    model, images = Within(PaddedGrid(), 24).eval(), torch.randn(2, 3, 16, 16)
    graph = capture(model, images[:1])
    assert [node.type.shape[0] for node in graph if isinstance(node.op, Gather)] == [36]
    found = evaluate(graph, images.double().numpy())[graph.output]
    with torch.no_grad():
        wanted = model.double()(images.double()).numpy()
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-7)


def test_patches_by_unfold() -> None:
    class Unfolded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut, self.layer, self.head = nn.Unfold(4, stride=4), nn.Linear(48, 24), nn.Linear(24, 5)

        def forward(self, image: Tensor) -> Tensor:
            x = self.layer(self.cut(image).transpose(1, 2))
            return self.head(functional.gelu(x).mean(dim=1))

    torch.manual_seed(6)
    model, images = Unfolded().eval(), torch.randn(2, 3, 16, 16)
    graph = capture(model, images[:1])
    found = evaluate(graph, images.double().numpy())[graph.output]
    with torch.no_grad():
        wanted = model.double()(images.double()).numpy()
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-7)
