# SPDX-License-Identifier: Apache-2.0
"""Saved exports are read without running anything that is in them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hlsgen.errors import UnsupportedModel, UsageError
from hlsgen.examples.digits.model import digits
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.read.archive import load_archive

IMAGE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.pt2"
    torch.export.save(torch.export.export(digits(), (IMAGE,)), path)
    return path


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy an archive; `change` gives each member's new bytes, or None to drop it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def edit(source: Path, target: Path, suffix: str, change: Callable[[Any], None]) -> Path:
    """Copy an archive with one JSON member changed in place."""

    def apply(name: str, data: bytes) -> bytes:
        if not name.endswith(suffix):
            return data
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return rewrite(source, target, apply)


class Trap:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_sample_inputs_are_not_unpickled(saved: Path, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    path = rewrite(saved, tmp_path / "a.pt2", lambda name, data: trap if "sample_inputs" in name else data)
    assert str(capture(load_archive(path))) == str(capture(load_archive(saved)))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists(), "the trap must work, or the test shows nothing"


def test_pickled_weights_are_refused_by_name(saved: Path, tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["config"]["head.weight"]["use_pickle"] = True

    path = edit(saved, tmp_path / "a.pt2", "weights_config.json", change)
    with pytest.raises(UsageError) as caught:
        load_archive(path)
    assert str(caught.value) == (
        "head.weight must be stored as a plain tensor, not as a pickle\n"
        "  why: unpickling runs code from the file\n"
        "  fix: export a model whose weights and constants are plain tensors"
    )


def test_old_archives_are_refused(saved: Path, tmp_path: Path) -> None:
    dropped = rewrite(
        saved, tmp_path / "a.pt2", lambda name, data: None if name.endswith("weights_config.json") else data
    )
    with pytest.raises(UsageError, match=r"^the archive holds its weights in an old format\n"):
        load_archive(dropped)

    def change(document: Any) -> None:
        document["schema_version"]["major"] = 7

    with pytest.raises(UsageError, match=r"^the archive's schema must be version 8, not 7\n"):
        load_archive(edit(saved, tmp_path / "b.pt2", "models/model.json", change))


def bad_offset(document: Any) -> None:
    document["config"]["head.bias"]["tensor_meta"]["storage_offset"] = {"as_int": 5}


def bad_stride(document: Any) -> None:
    document["config"]["head.bias"]["tensor_meta"]["strides"] = [{"as_int": -1}]


def bad_type(document: Any) -> None:
    document["config"]["head.bias"]["tensor_meta"]["dtype"] = 99


def bad_file(document: Any) -> None:
    document["config"]["head.bias"]["path_name"] = "../../../etc/passwd"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (bad_offset, "head.bias: 10 elements stored, element 14 needed"),
        (bad_stride, "head.bias: negative sizes"),
        (bad_type, "type 99 is not supported"),
        (bad_file, "it has no member model/data/weights/../../../etc/passwd"),
    ],
)
def test_broken_tensors(saved: Path, tmp_path: Path, change: Callable[[Any], None], why: str) -> None:
    path = edit(saved, tmp_path / "a.pt2", "weights_config.json", change)
    with pytest.raises(UsageError) as caught:
        load_archive(path)
    (problem,) = caught.value.problems
    assert problem.what == f"{path} is not a complete torch.export archive"
    assert problem.why.startswith(why)


def test_unknown_operators_are_only_names(saved: Path, tmp_path: Path) -> None:
    def change(document: Any) -> None:
        nodes = document["graph_module"]["graph"]["nodes"]
        nodes[0]["target"] = "torch.os.system"
        nodes[0]["metadata"]["stack_trace"] = 'File "/a\x1b[31m/{{x}}.py", line 3, in forward'
        nodes[0]["metadata"]["nn_module_stack"] = "a,$(touch x)\n,b"

    path = edit(saved, tmp_path / "a.pt2", "models/model.json", change)
    with pytest.raises(UnsupportedModel) as caught:
        capture(load_archive(path))
    assert str(caught.value) == (
        "torch.os.system is not supported\n  where: $(touch x)? at {{x}}.py:3\n"
        "  why: hlsgen has no rule that turns it into a step of the machine\n"
        "  fix: leave it out, or compute it on the host, before or behind the model"
    )


def test_hostile_names_become_identifiers(saved: Path, tmp_path: Path) -> None:
    def rename(name: str, data: bytes) -> bytes:
        return data.replace(b"head.weight", b"../$(x)`.weight") if name.endswith(".json") else data

    graph = capture(load_archive(rewrite(saved, tmp_path / "a.pt2", rename)))
    assert all(node.name.isidentifier() and node.name.isascii() for node in graph)
    assert graph.output == "x"


def test_arguments_of_wrong_types_are_problems(saved: Path, tmp_path: Path) -> None:
    def change(document: Any) -> None:
        nodes = document["graph_module"]["graph"]["nodes"]
        (norm,) = [node for node in nodes if node["name"] == "layer_norm"]
        norm["inputs"][1]["arg"] = {"as_int": 3}
        (linear,) = [node for node in nodes if node["name"] == "linear"]
        linear["inputs"][1]["arg"] = {"as_tensor": {"name": "nothing"}}

    path = edit(saved, tmp_path / "a.pt2", "models/model.json", change)
    with pytest.raises(UnsupportedModel) as caught:
        capture(load_archive(path))
    norm_problem, linear_problem = caught.value.problems
    assert norm_problem.what == "aten.layer_norm.default can't be read with these arguments"
    assert norm_problem.why == "TypeError: object of type 'int' has no len()"
    assert linear_problem.what == "nothing has no value"


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.pt2").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"a\.pt2 must be a torch\.export archive\n  why: File is not a zip"):
        load_model(str(tmp_path / "a.pt2"))
    buffer = io.BytesIO()
    torch.save(nn.Linear(2, 2).state_dict(), buffer)
    (tmp_path / "b.pt2").write_bytes(buffer.getvalue())
    with pytest.raises(UsageError) as caught:
        load_model(str(tmp_path / "b.pt2"))
    assert str(caught.value).startswith(
        f"model must not be a pickle: {tmp_path / 'b.pt2'}\n  why: unpickling"
    )
    with zipfile.ZipFile(tmp_path / "c.pt2", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/models/x.json", "{}")
    with pytest.raises(UsageError) as caught:
        load_model(str(tmp_path / "c.pt2"))
    assert caught.value.problems[0].why == "the archive is compressed"


def test_dynamic_archives_are_refused(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.Flatten(2))
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    exported = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=(batch,))
    torch.export.save(exported, tmp_path / "a.pt2")
    with pytest.raises(UnsupportedModel, match=r"^input shape must be static, not dynamic in dimension 0 \("):
        capture(load_archive(tmp_path / "a.pt2"))


def test_four_images_at_once_are_refused_with_a_way(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.Flatten(2))
    torch.export.save(torch.export.export(model, (torch.zeros(4, 1, 8, 8),)), tmp_path / "a.pt2")
    with pytest.raises(UnsupportedModel) as caught:
        capture(load_archive(tmp_path / "a.pt2"))
    (problem,) = caught.value.problems
    assert problem.what == "input must be [1, channels, height, width], not [4, 1, 8, 8]"
    assert problem.fix.endswith("torch.export.export(model, (images[:1],))")


def test_load_by_path(saved: Path) -> None:
    loaded = load_model(str(saved))
    assert (loaded.name, loaded.example) == ("model", None)
    assert str(capture(loaded.model, loaded.example)) == str(capture(digits(), IMAGE))
