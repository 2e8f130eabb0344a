# SPDX-License-Identifier: Apache-2.0
"""An export that computes something else than its model is found on one image, with numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hlsgen.errors import CaptureWarning, UnsupportedModel
from hlsgen.examples.digits.model import VisionTransformer
from hlsgen.frontend import compare
from hlsgen.frontend.capture import capture
from hlsgen.frontend.read.archive import load_archive
from hlsgen.quantizers import probe

IMAGE = torch.zeros(1, 1, 8, 8)


def tiny() -> VisionTransformer:
    """Quick to export."""
    torch.manual_seed(0)
    return VisionTransformer(
        image=8, patch=4, channels=1, width=8, depth=1, heads=2, hidden=8, classes=10
    ).eval()


class Other(nn.Module):
    """Forgets something under export, as a causal flag that is lost."""

    def __init__(self, *, at: int = 3, mode: str = "scale") -> None:
        super().__init__()
        self.inner, self.at, self.mode = tiny(), at, mode

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self.inner(x)
        if self.mode == "fail":
            raise RuntimeError("only under export\nand more")
        if self.mode == "causal":
            original = nn.functional.scaled_dot_product_attention
            nn.functional.scaled_dot_product_attention = lambda q, k, v, **_: original(
                q, k, v, is_causal=True
            )
            try:
                return self.inner(x)
            finally:
                nn.functional.scaled_dot_product_attention = original
        result = self.inner(x).clone()
        result[:, self.at] *= 1.001
        return result


def problem(model: nn.Module, **options: Any) -> Any:
    with pytest.raises(UnsupportedModel) as caught:
        capture(model.eval(), IMAGE, **options)
    (found,) = caught.value.problems
    return found


def test_an_export_that_forgets_something() -> None:
    for mode in ("scale", "causal"):
        found = problem(Other(mode=mode))
        head = "the output of the float Graph must be the model's: the relative error is "
        assert found.what.startswith(head)
        assert 1e-4 < float(found.what.removeprefix(head).split(",")[0]) < 2.0
        assert found.what.endswith("and must be at most 0.0001")
        assert "--no-compare" in found.fix
        graph = capture(Other(mode=mode).eval(), IMAGE, compare=False)
        assert str(graph).replace("inner_", "") == str(capture(tiny(), IMAGE))


def test_a_model_that_does_not_run() -> None:
    found = problem(Other(mode="fail"))
    assert found.what == "the model can't be run to compare the float Graph with it"
    assert found.why == "RuntimeError: only under export"
    assert found.where.startswith("tests/frontend/test_compare.py:")


class Tasks(nn.Module):
    """Two outputs; the second differs under export."""

    def __init__(self) -> None:
        super().__init__()
        from hlsgen.examples.digits.moe import digits_moe

        self.inner = digits_moe()

    def forward(self, x: Tensor, task: Tensor) -> Any:
        first, second = self.inner(x, task)
        return (first, second) if torch.compiler.is_exporting() else (first, second + 1)


def test_each_task_is_compared() -> None:
    with pytest.raises(
        UnsupportedModel, match=r"^export of another model: the output of task 1 of the float Graph"
    ):
        capture(Tasks().eval(), (IMAGE, 0))


class Several(nn.Module):
    """Three outputs, one of which is wrong; a softmax is left to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.inner(x)
        wrong = logits if torch.compiler.is_exporting() else logits.roll(1, -1)
        return {"share": logits.softmax(-1), "same": logits, "wrong": wrong}


def test_each_output_is_compared_by_its_name() -> None:
    with pytest.warns(CaptureWarning, match="softmax is left to the host"):
        graph = capture(Several().eval(), IMAGE, ["same", "share"])
    assert graph.names == ("share", "same")
    with pytest.raises(
        UnsupportedModel, match=r"^export of another model: output wrong of the float Graph"
    ) as caught:
        capture(Several().eval(), IMAGE, ["same", "wrong"])
    assert len(caught.value.problems) == 1


def test_a_saved_export_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.export.save(torch.export.export(tiny(), (IMAGE,)), tmp_path / "a.pt2")
    export = load_archive(tmp_path / "a.pt2")
    graph = capture(export)
    assert compare.compared(export, graph, probe((1, 8, 8))) == []
    model = tiny()
    model.head.bias.data[0] += 1.0
    other = capture(model, IMAGE)
    (found,) = compare.compared(export, other, probe((1, 8, 8)))
    assert "the relative error is" in found.what
    exported = torch.export.export(tiny(), (IMAGE,))
    assert str(capture(exported)) == str(graph)
    monkeypatch.setattr(compare, "run", lambda *_: [torch.ones(1, 10)])
    with pytest.raises(UnsupportedModel, match="the relative error is"):
        capture(export)


def test_the_given_image_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    original = compare.results

    def watch(graph: Any, images: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
        seen.append(images)
        return original(graph, images, **options)

    monkeypatch.setattr(compare, "results", watch)
    image = np.random.default_rng(3).normal(size=(1, 1, 8, 8)).astype(np.float32)
    capture(tiny(), IMAGE, image=image)
    capture(tiny(), torch.from_numpy(image))
    capture(tiny(), IMAGE)
    assert np.array_equal(seen[0], image)
    assert np.array_equal(seen[1], image)
    assert np.array_equal(seen[2], probe((1, 8, 8)))


def test_rounding_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that float64 does not show is float32's."""
    kinds: list[torch.dtype] = []
    original = compare.results_of

    def watch(model: Any, arguments: Any, names: Any, kind: torch.dtype) -> Any:
        kinds.append(kind)
        results = original(model, arguments, names, kind)
        return [result * 1.01 for result in results] if kind is torch.float32 else results

    monkeypatch.setattr(compare, "results_of", watch)
    capture(tiny(), IMAGE)
    assert kinds == [torch.float32, torch.float64]
