# SPDX-License-Identifier: Apache-2.0
"""What is wrong around a model: weights, mode, example, inputs and outputs; all problems at once."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frontend.refused import IMAGE, Fails, Pair, Tiny, TwoSums, refusal
from torch import Tensor, nn

from hlsgen.errors import CaptureWarning, Problem, UsageError
from hlsgen.frontend.capture import capture
from hlsgen.frontend.read.archive import load_archive
from hlsgen.frontend.rules.interpret import weight_problems
from hlsgen.ops import Linear

WEIGHTS = "load weights of a model that gives numbers; half precision overflows beyond 65504"


def test_weights_mode_and_example_all_at_once() -> None:
    model = TwoSums().train()
    model.down.weight.data[0, 0] = math.nan
    model.norm.bias.data[3] = math.inf
    model.head.half()
    image = "pass one float32 image, for example torch.zeros(1, 3, 224, 224)"
    with pytest.warns(CaptureWarning, match="from float16: head.weight, head.bias$"):
        problems = refusal(model, np.zeros((4, 2, 4, 6), np.uint8))
    assert problems == (
        Problem("example_inputs must be float32, not uint8", fix=image),
        Problem("example_inputs must hold 1 image, not 4", fix="pass images[:1]"),
        Problem("weights must be finite, not infinite", "norm.bias", fix=WEIGHTS),
        Problem("weights must be finite, not NaN", "down.weight", fix=WEIGHTS),
        Problem("model must be in eval mode, not in training mode", fix="call model.eval() first"),
        *refusal(TwoSums().eval()),
    )
    assert model.training
    assert model.head.weight.dtype is torch.float16


def test_huge_weights_are_finite_though_their_sum_is_not() -> None:
    huge = torch.full((3,), torch.finfo(torch.float32).max)
    assert not torch.isfinite(huge.sum())
    assert weight_problems({"huge": huge}) == ()


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_an_infinite_number_alone_bounds_nothing(number: float) -> None:
    assert weight_problems({"bound": torch.tensor(number)}) == ()
    assert weight_problems({"weight": torch.tensor([number])}) != ()
    model = Tiny().eval()
    model.bound = nn.Buffer(torch.tensor(number))
    model.register_forward_pre_hook(lambda model, args: (args[0] * model.bound,))
    assert [problem.what for problem in refusal(model)] == ["a constant factor must be finite"]


def test_one_module_in_training_mode_is_named() -> None:
    model = Tiny().eval()
    model.norm2.train()
    what = "model must be in eval mode, not in training mode"
    assert refusal(model) == (Problem(what, "norm2", fix="call model.eval() first"),)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_other_types_are_converted_with_a_note(kind: torch.dtype) -> None:
    model = Tiny().to(kind).eval()
    name = str(kind).removeprefix("torch.")
    names = "patch.weight, patch.bias, norm1.weight, norm1.bias and 14 more"
    with pytest.warns(CaptureWarning, match=f"^weights are converted to float32 from {name}: {names}$"):
        graph = capture(model, IMAGE)
    assert model.head.weight.dtype is kind
    wanted = capture(copy.deepcopy(model).float(), IMAGE)
    assert [str(node) for node in graph] == [str(node) for node in wanted]
    head = graph.node("head").op
    assert isinstance(head, Linear)
    assert np.array_equal(head.weight, model.head.weight.detach().float().numpy())


def test_complex_weights_are_refused() -> None:
    model = Tiny().eval()
    model.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    assert refusal(model)[0] == Problem("weights must be real, not complex64", "phase", fix=WEIGHTS)


def test_exported_programs() -> None:
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    flexible = nn.Sequential(nn.Conv2d(2, 4, 2, stride=2), nn.Flatten(2), nn.Linear(6, 3))
    dynamic = torch.export.export(flexible, (torch.zeros(2, 2, 4, 6),), dynamic_shapes=(batch,))
    (problem,) = refusal(dynamic, None)
    assert problem.what.startswith("input shape must be static, not dynamic in dimension 0 (")
    assert problem.fix == "export without dynamic_shapes, with one image as the example"
    two = torch.export.export(flexible, (torch.zeros(2, 2, 4, 6),))
    what = "input must be [1, channels, height, width], not [2, 2, 4, 6]"
    assert refusal(two, None) == (
        Problem(
            what,
            fix="export the model with one image as the example: torch.export.export(model, (images[:1],))",
        ),
    )
    pair = torch.export.export(Pair().eval(), (IMAGE, IMAGE))
    assert refusal(pair, None) == (Problem("model must have one input, not 2"),)
    dropout = torch.export.export(nn.Sequential(Tiny(), nn.Dropout(0.1)).train(), (IMAGE,))
    what, fix = "dropout must be in eval mode, not in training mode", "call model.eval() first"
    assert refusal(dropout, None) == (Problem(what, "1", "training is random", fix),)


def test_paths_outside_the_working_directory_are_base_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    first, _ = refusal(TwoSums().eval())
    assert first.where.startswith("first, second at refused.py:")


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (3, None, "model must be an nn.Module or an ExportedProgram, not 'int'"),
        (nn.Identity(), None, "the model's input shape is needed"),
        (nn.Identity(), (IMAGE, IMAGE), "example_inputs must be one tensor, not 2"),
        (
            nn.Identity(),
            {"input": IMAGE, "mask": IMAGE},
            "example_inputs must be one tensor, not input, mask",
        ),
        (nn.Identity(), {"input": 3}, "example_inputs must be a tensor, not 'int'"),
        (nn.Identity(), IMAGE[0], "example_inputs must be [1, channels, height, width], not [2, 4, 6]"),
    ],
)
def test_wrong_calls(model: Any, example: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        capture(model, example)
    assert caught.value.problems[0].what == message


def test_an_input_of_numbers_is_refused_with_a_way() -> None:
    with pytest.raises(UsageError) as caught:
        capture(nn.Embedding(5, 4), torch.zeros(1, 6, dtype=torch.int64))
    (problem,) = caught.value.problems
    assert problem.what == "example_inputs must be [1, channels, height, width], not [1, 6]"
    assert problem.fix.endswith(
        "tokens, or rows of a table, are rows of an image [1, 1, tokens, elements] (docs/models.md)"
    )


class Result(Tiny):
    """Returns several tensors by name, some of them nested, as `transformers` does."""

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Any:
        assert mask is None
        return {"hidden": (image, [image]), "logits": super().forward(image), "x": None}


def test_of_a_mapping_the_logits_count(tmp_path: Path) -> None:
    model, plain = Result().eval(), Tiny().eval()
    plain.load_state_dict(model.state_dict())
    wanted = str(capture(plain, IMAGE))
    exported = torch.export.export(model, (), {"image": IMAGE})
    torch.export.save(exported, tmp_path / "model.pt2")
    archive = load_archive(tmp_path / "model.pt2")
    found = [
        capture(model, {"image": IMAGE}),
        capture(model, IMAGE),
        capture(exported),
        capture(archive),
    ]
    assert [str(graph) for graph in found] == [wanted] * 4


class Unnamed(Tiny):
    def forward(self, image: Tensor) -> Any:
        return {"classes": super().forward(image), "hidden": image}


def test_of_a_mapping_without_logits_every_tensor_counts() -> None:
    with pytest.warns(CaptureWarning, match="try --outputs classes"):
        (problem,) = refusal(Unnamed().eval())
    assert problem.what == "output hidden: the image is used outside the patch embedding"
    assert capture(Unnamed().eval(), IMAGE, ["classes"]).names == ()


def test_reading_leaves_torch_as_it_was() -> None:
    fastpath = torch.backends.mha.get_fastpath_enabled()
    refusal(Fails().eval())
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    assert torch.is_grad_enabled()
