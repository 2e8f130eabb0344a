# SPDX-License-Identifier: Apache-2.0
"""Weights from a safetensors file: all there, or all that is wrong at once."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hlsgen.errors import UsageError, shown
from hlsgen.examples.digits.model import digits
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.weights import load_weights

State = dict[str, Tensor]
SIZE = "make the model of the same size"
IMAGE = torch.zeros(1, 1, 8, 8)


def state() -> State:
    """Other weights than the example's."""
    torch.manual_seed(1)
    return {name: tensor + torch.randn_like(tensor) for name, tensor in digits().state_dict().items()}


def saved(path: Path, tensors: State) -> str:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


def refusals(path: str) -> list[tuple[str, str, str]]:
    with pytest.raises(UsageError) as caught:
        load_weights(digits(), path)
    return [(problem.what, problem.where, problem.fix) for problem in caught.value.problems]


def test_weights_of_an_example(tmp_path: Path) -> None:
    tensors = state()
    path = saved(tmp_path / "a.safetensors", tensors)
    loaded = load_model("digits", weights=path)
    assert loaded.note == ""
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, tensors[name])


def test_other_types_are_converted(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in state().items()}
    loaded = load_model("digits", weights=saved(tmp_path / "a.safetensors", halves))
    assert loaded.note.startswith("weights are converted to float32 from float16: ")
    assert all(torch.equal(x, halves[name].float()) for name, x in loaded.model.state_dict().items())


def renamed(tensors: State) -> State:
    return {f"model.{name}": tensor for name, tensor in tensors.items()}


def test_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    tensors = state()
    count = len(tensors)
    del tensors["head.weight"], tensors["norm.bias"]
    tensors["extra"] = torch.zeros(1)
    tensors["head.bias"] = torch.zeros(3)
    tensors["norm.weight"] = torch.zeros(32, dtype=torch.int8)
    tensors["cls_token"] = tensors["cls_token"].to(torch.complex64)
    path, again = (
        str(tmp_path / "a.safetensors"),
        "save the state_dict of the same class with the same arguments",
    )
    saved(Path(path), tensors)
    assert refusals(path) == [
        (f"{path} lacks 2 of the model's {count} tensors", "norm.bias, head.weight", again),
        (f"{path} holds 1 tensors that the model has not", "extra", again),
        (
            f"{path} holds 1 tensors of another shape",
            "head.bias [3], not [10]",
            "make the model of the same size",
        ),
        (
            f"{path} must hold 2 of the model's tensors as floats",
            "cls_token complex64, not float32, norm.weight int8, not float32",
            "store the weights of the float model: each integer times its scale",
        ),
    ]
    saved(Path(path), renamed(state()))
    found = refusals(path)
    assert [fix for *_, fix in found] == ["drop 'model.' at the beginning of the file's names"] * 2


class Indexed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("order", torch.arange(4))


def test_integers_stay_integers(tmp_path: Path) -> None:
    tensors = Indexed().state_dict() | {"order": torch.tensor([0, 1.5, 2, 3])}
    path = saved(tmp_path / "a.safetensors", tensors)
    with pytest.raises(UsageError) as caught:
        load_weights(Indexed(), path)
    (problem,) = caught.value.problems
    assert problem.what == f"{path} must hold 1 of the model's tensors as integers"
    assert (problem.where, problem.why) == (
        "order float32, not int64",
        "a cast would drop their fractions",
    )
    assert load_weights(Indexed(), saved(tmp_path / "b.safetensors", Indexed().state_dict())) == ""


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight


def test_parameters_that_are_one(tmp_path: Path) -> None:
    """They are saved once."""
    tensors = {name: tensor for name, tensor in Tied().state_dict().items() if name != "two.weight"}
    model = Tied()
    load_weights(model, saved(tmp_path / "a.safetensors", tensors))
    assert torch.equal(model.two.weight, tensors["one.weight"])


def lies(data: bytes) -> bytes:
    """A header that states more than there is."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header["head.bias"]["shape"] = [1 << 40]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda data: data[:-1], lambda data: data[:100], lambda _: b"\xff" * 64, lies],
)
def test_damaged_files(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.safetensors"
    saved(path, state())
    path.write_bytes(damage(path.read_bytes()))
    ((what, _, fix),) = refusals(str(path))
    assert what == f"weights {shown(str(path))} must be a safetensors file"
    assert fix.startswith("save them with safetensors")


def test_weights_go_with_a_module(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(digits(), (IMAGE,)), tmp_path / "a.pt2")
    path = saved(tmp_path / "a.safetensors", state())
    with pytest.raises(UsageError, match="--weights must go with a module:factory or a shipped example"):
        load_model(str(tmp_path / "a.pt2"), weights=path)
    with pytest.raises(UsageError, match="must not be a pickle"):
        load_model("digits", weights="a.pt")
    with pytest.raises(UsageError, match=r"weights 'none\.safetensors' must be a safetensors file"):
        load_model("digits", weights="none.safetensors")
