# SPDX-License-Identifier: Apache-2.0
"""ONNX's operators that move or make elements: resampled position embeddings, in files of old opsets too."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture
from hlsgen.frontend.read.onnx_file import load_onnx
from hlsgen.ir import evaluate


class Resampled(nn.Module):
    """Position embeddings of 3 x 5 patches, for images of other sizes."""

    def __init__(self, mode: str, corners: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed, self.head = nn.Conv2d(1, 4, 2, 2), nn.Linear(4, 3)
        self.norm, self.positions = nn.LayerNorm(4), nn.Parameter(torch.randn(1, 4, 3, 5))
        self.mode, self.corners = mode, corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        positions = functional.interpolate(
            self.positions, size=(x.shape[2], x.shape[3]), mode=self.mode, align_corners=self.corners
        )
        return self.head(self.norm((x + positions).flatten(2).transpose(1, 2)))


def written(
    path: Path,
    mode: str = "bicubic",
    corners: bool = False,
    opset: int = 14,
    model: nn.Module | None = None,
) -> tuple[nn.Module, Any]:
    """The model and its file, as the older exporter writes it."""
    model = (Resampled(mode, corners) if model is None else model).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 4, 6),),
            str(path),
            dynamo=False,
            opset_version=opset,
            do_constant_folding=False,
        )
    return model, onnx.load(path)


@pytest.mark.parametrize(
    ("mode", "corners", "opset"),
    [("bicubic", False, 14), ("bilinear", False, 14), ("bilinear", True, 14), ("bilinear", False, 13)],
)
def test_resampled_positions_become_constants(tmp_path: Path, mode: str, corners: bool, opset: int) -> None:
    path = tmp_path / "model.onnx"
    model, file = written(path, mode, corners, opset)
    assert "Resize" in {node.op_type for node in file.graph.node}
    graph, images = capture(load_onnx(path)), np.random.default_rng(0).normal(size=(2, 1, 4, 6))
    found = evaluate(graph, images)[graph.output]
    with torch.no_grad():
        wanted = model(torch.from_numpy(images).float()).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "nearest"), ("cubic_coeff_a", -0.5), ("antialias", 1), ("exclude_outside", 1)],
)
def test_another_resampling_is_refused(tmp_path: Path, name: str, value: object) -> None:
    """It would give other numbers."""
    path = tmp_path / "model.onnx"
    _, file = written(path)
    (node,) = [node for node in file.graph.node if node.op_type == "Resize"]
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
    onnx.save(file, path)
    with pytest.raises(UnsupportedModel, match="Resize"):
        capture(load_onnx(path), compare=False)


class OfImage(Resampled):
    """The image itself is resampled: each element of a patch is a sum of pixels of all patches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.interpolate(x, size=(2, 4), mode=self.mode))


class OfTokens(Resampled):
    """The grid of tokens is resampled."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = functional.interpolate(self.embed(x), size=(4, 2), mode=self.mode)
        return self.head(self.norm(grid.flatten(2).transpose(1, 2)))


@pytest.mark.parametrize("kind", [OfImage, OfTokens])
def test_what_is_resampled_is_multiplied_by_a_matrix(kind: type[Resampled], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model, _ = written(path, model=kind("bicubic", False))
    graph, images = capture(load_onnx(path)), np.random.default_rng(0).normal(size=(2, 1, 4, 6))
    with torch.no_grad():
        wanted = model(torch.from_numpy(images).float()).numpy()
    found = evaluate(graph, images)[graph.output].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
