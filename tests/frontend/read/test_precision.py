# SPDX-License-Identifier: Apache-2.0
"""Half, bfloat16 and double: converted with a note, the rest of the model left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hlsgen.errors import CaptureWarning, UnsupportedModel
from hlsgen.examples.digits.model import VisionTransformer
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inspect import inspect
from hlsgen.frontend.read.archive import load_archive

IMAGE = torch.zeros(1, 1, 8, 8)


def tiny() -> VisionTransformer:
    """Quick to export."""
    torch.manual_seed(0)
    return VisionTransformer(
        image=8, patch=4, channels=1, width=8, depth=1, heads=2, hidden=8, classes=10
    ).eval()


KINDS = [torch.float16, torch.bfloat16, torch.float64]


def name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


@pytest.mark.parametrize("kind", KINDS)
def test_modules(kind: torch.dtype) -> None:
    model = tiny().to(kind)
    count = len(list(model.parameters()))
    with pytest.warns(CaptureWarning) as caught:
        graph = capture(model, IMAGE.to(kind))
    (text,) = [str(item.message) for item in caught]
    assert text.startswith(f"weights are converted to float32 from {name(kind)}: cls_token, pos_embed, ")
    assert text.endswith(f" and {count - 4} more")
    assert model.head.weight.dtype is kind
    assert str(graph) == str(capture(tiny().to(kind).float(), IMAGE))
    report = inspect(model, IMAGE)
    assert report.notes == (str(caught[0].message),)
    assert f"note: {report.notes[0]}" in str(report)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_exports(kind: torch.dtype, tmp_path: Path) -> None:
    torch.export.save(torch.export.export(tiny().to(kind), (IMAGE.to(kind),)), tmp_path / "a.pt2")
    with pytest.warns(CaptureWarning, match=name(kind)):
        graph = capture(load_archive(tmp_path / "a.pt2"))
    assert str(graph) == str(capture(tiny().to(kind).float(), IMAGE))


class Casts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.half().float())


def test_casts_within_a_model_stay_refused() -> None:
    with pytest.raises(UnsupportedModel, match="activations must be float32, not float16"):
        capture(Casts().eval(), IMAGE)
