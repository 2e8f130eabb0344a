# SPDX-License-Identifier: Apache-2.0
"""Folders of Hugging Face: read from the disk only, whole or not at all."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from hlsgen.errors import CaptureWarning, Problem, UsageError
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.model import load_model

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": [16, 24],
    "patch_size": 8,
    "num_labels": 5,
}


@pytest.fixture
def model() -> ViTForImageClassification:
    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(**SMALL)).eval()


@pytest.fixture
def folder(model: ViTForImageClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def no_network(*_: Any) -> None:
        raise AssertionError("the network was asked")

    model.save_pretrained(tmp_path / "vit")
    monkeypatch.setattr(socket.socket, "connect", no_network)
    return tmp_path / "vit"


def refusal(folder: Path) -> Problem:
    with pytest.raises(UsageError) as caught:
        load_model(str(folder))
    (problem,) = caught.value.problems
    return problem


def test_the_same_graph_as_from_the_class(folder: Path, model: ViTForImageClassification) -> None:
    loaded = load_model(str(folder))
    assert loaded.name == "vit"
    assert {name: array.shape for name, array in loaded.example.items()} == {"pixel_values": (1, 3, 16, 24)}
    graph = capture(loaded.model, loaded.example)
    wanted = capture(model, {"pixel_values": torch.zeros(1, 3, 16, 24)})
    assert str(graph) == str(wanted)
    assert graph.node("classifier").op.bias.tolist() == model.classifier.bias.tolist()  # type: ignore[attr-defined]


def test_a_shape_may_be_given(folder: Path) -> None:
    assert load_model(str(folder), (3, 16, 24)).example["pixel_values"].shape == (1, 3, 16, 24)


def test_halves_are_converted(folder: Path, model: ViTForImageClassification) -> None:
    model.bfloat16().save_pretrained(folder)
    loaded = load_model(str(folder))
    with pytest.warns(CaptureWarning, match="^weights are converted to float32 from bfloat16: "):
        graph = capture(loaded.model, loaded.example)
    assert graph.type_of(graph.output).shape == (1, 5)


def stored_as(folder: Path, kind: torch.dtype, *names: str) -> None:
    """Store these tensors as another type, as they are."""
    place = folder / "model.safetensors"
    tensors = load_file(place)
    save_file(tensors | {name: tensors[name].to(kind) for name in names}, place, {"format": "pt"})


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_floats(folder: Path, kind: torch.dtype) -> None:
    """`transformers` would cast them without a word."""
    stored_as(folder, kind, "classifier.weight", "vit.layernorm.bias")
    name, problem = str(kind).removeprefix("torch."), refusal(folder)
    assert problem.what == f"{folder}/model.safetensors must hold 2 of the model's tensors as floats"
    assert problem.where == (f"classifier.weight {name}, not float32, vit.layernorm.bias {name}, not float32")
    assert problem.why.startswith("quantized weights are other numbers without their scales")
    assert problem.fix == "store the weights of the float model: each integer times its scale"


def test_weights_that_are_no_floats_under_other_names(tmp_path: Path) -> None:
    """`transformers` drops the prefix of the base class."""
    folder = tmp_path / "base"
    ViTModel(ViTConfig(**SMALL)).save_pretrained(folder)
    place = folder / "model.safetensors"
    tensors = {f"vit.{name}": tensor for name, tensor in load_file(place).items()}
    save_file(tensors, place, {"format": "pt"})
    assert load_model(str(folder)).note == ""
    stored_as(folder, torch.int8, "vit.layernorm.bias")
    assert refusal(folder).where == "vit.layernorm.bias int8, not float32"


def test_single_halves_are_converted(folder: Path, model: ViTForImageClassification) -> None:
    """In a model of floats, too, and with a note."""
    stored_as(folder, torch.float8_e4m3fn, "classifier.weight")
    loaded = load_model(str(folder))
    assert loaded.note == "weights are converted to float32 from float8_e4m3fn: classifier.weight"
    wanted = model.state_dict()["classifier.weight"].to(torch.float8_e4m3fn).float()
    assert torch.equal(loaded.model.state_dict()["classifier.weight"], wanted)


@pytest.mark.parametrize("method", ["gptq", ""])
def test_a_quantized_checkpoint(folder: Path, method: str) -> None:
    """Refused before a library reads it, which would quantize or fetch code."""
    changed(folder, quantization_config={"quant_method": method, "load_in_8bit": True})
    problem = refusal(folder)
    by = f" by {method}" if method else ""
    assert problem.what == f"the weights in {folder} must be floats, not quantized{by}"
    assert problem.why.startswith("its config.json has quantization_config; ")
    assert problem.fix.startswith("take the checkpoint of the float model")


def test_random_weights_are_no_model(folder: Path) -> None:
    place = folder / "model.safetensors"
    tensors = load_file(place)
    del tensors["classifier.weight"], tensors["vit.layernorm.bias"]
    save_file(tensors, place, {"format": "pt"})
    problem = refusal(folder)
    assert problem.what == f"the weights in {folder} lack 2 of the model's tensors"
    assert problem.where == "classifier.weight, vit.layernorm.bias"
    assert problem.why == "transformers would fill them with random numbers"


def test_all_that_is_of_another_model_is_told_at_once(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = folder / "model.safetensors"
    tensors = load_file(place) | {"vit.turn": torch.zeros(3), "classifier.weight": torch.zeros(7, 32)}
    del tensors["vit.layernorm.bias"]
    save_file(tensors, place, {"format": "pt"})
    with pytest.raises(UsageError) as caught:
        load_model(str(folder))
    assert [(problem.what, problem.where) for problem in caught.value.problems] == [
        (f"the weights in {folder} lack 1 of the model's tensors", "vit.layernorm.bias"),
        (
            f"the weights in {folder} hold 1 of the model's tensors in another shape",
            "classifier.weight [7, 32], not [5, 32]",
        ),
        (f"the weights in {folder} hold 1 tensors that the model has not", "vit.turn"),
    ]
    assert "".join(capfd.readouterr()) == ""


def test_weights_in_several_files(folder: Path, model: ViTForImageClassification) -> None:
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="8KB")
    loaded = load_model(str(folder))
    wanted = capture(model, {"pixel_values": torch.zeros(1, 3, 16, 24)})
    assert str(capture(loaded.model, loaded.example)) == str(wanted)
    parts = sorted(folder.glob("*.safetensors"))
    for part in parts[:2]:
        tensors = load_file(part)
        save_file({name: tensor.to(torch.int8) for name, tensor in tensors.items()}, part, {"format": "pt"})
    with pytest.raises(UsageError) as caught:
        load_model(str(folder))
    assert [problem.what.partition(" must ")[0] for problem in caught.value.problems] == [
        str(part) for part in parts[:2]
    ]
    parts[1].unlink()
    problem = refusal(folder)
    assert problem.what == f"transformers can't read the model in {folder}"
    assert "model-00002-of-" in problem.why


def changed(folder: Path, **fields: Any) -> None:
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(document | fields))


def test_code_of_the_folder_is_not_run(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('ran')")
    changed(folder, auto_map={"AutoConfig": "mine.Config"}, model_type="no_such_type")
    problem = refusal(folder)
    assert problem.what == f"transformers can't read the model in {folder}"
    assert problem.fix.startswith("its classes are code in the folder, which hlsgen doesn't run")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_files(folder: Path, name: str) -> None:
    place = folder / name
    place.write_bytes(place.read_bytes()[:-40])
    problem = refusal(folder)
    assert problem.what == f"transformers can't read the model in {folder}"
    assert problem.fix


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(folder) == Problem(
        f"the weights in {folder} must be safetensors, not pickles",
        why="unpickling a model runs code from the file",
        fix="save them again: model.save_pretrained(FOLDER)",
    )
