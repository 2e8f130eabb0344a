# SPDX-License-Identifier: Apache-2.0
"""MODEL and DATA as users type them."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlsgen.errors import CalibrationError, Problem, ToolMissing, UsageError
from hlsgen.examples.digits.data import awkward_data, calibration, heldout
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.shipped import shipped

FACTORY = """
import numpy
from hlsgen.examples.digits.model import digits

def small():
    return digits()

def with_example():
    return digits(), numpy.zeros((1, 1, 8, 8), numpy.float32)

class Nested:
    make = staticmethod(digits)

number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "factory_for_test.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "factory_for_test", raising=False)
    return "factory_for_test"


EXAMPLES = (
    "digits, digits-moe, awkward, deit-tiny, deit-tiny-distilled, deit-small, vit-base, m3vit-tiny, "
    "m3vit-tiny-even"
)


@pytest.mark.parametrize("name", ["digits", "awkward"])
def test_shipped_models(name: str) -> None:
    loaded = load_model(name)
    graph = capture(loaded.model, loaded.example)
    assert graph.input_type.shape == shipped(name).shape
    data = load_data(name, shape=graph.input_type.shape)
    assert data.labels is not None
    assert data.images.dtype == np.float32
    assert len(data.images) == len(data.labels) >= 128


def test_shipped_parts() -> None:
    assert np.array_equal(load_data("digits").images, calibration()[0])
    assert np.array_equal(load_data("digits", heldout=True).images, heldout()[0])
    assert np.array_equal(load_data("awkward", heldout=True).images, awkward_data()[0])
    with pytest.raises(UsageError, match=rf"^example must be one of {EXAMPLES}, not 'mnist'$"):
        shipped("mnist")


def test_factories(package: str) -> None:
    before = list(sys.path)
    small = load_model(f"{package}:small", shape=(1, 8, 8))
    assert (small.name, small.example.shape) == ("small", (1, 1, 8, 8))
    pair = load_model(f"{package}:with_example")
    nested = load_model(f"{package}:Nested.make")
    assert nested.example is None
    graphs = {str(capture(m.model, pair.example)) for m in (small, pair, nested)}
    assert len(graphs) == 1
    assert sys.path == before


FORMS = (
    f"MODEL is the name of a shipped example ({EXAMPLES}), package.module:factory, a file saved by "
    "torch.export.save (.pt2) or torch.onnx.export (.onnx), or a folder with config.json and safetensors"
)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("{0}:nothing", "module {0} has no 'nothing'"),
        ("{0}:Nested.other", "module {0} has no 'Nested.other'"),
        ("{0}:number", "{0}:number must be a function that returns the model"),
        ("no_such_module:make", "no_such_module:make: there is no module 'no_such_module'"),
        ("{0}.sub:make", "{0}.sub:make: there is no module '{0}.sub'"),
        (":make", "':make' must be package.module:factory"),
        ("mnist", "there is no model 'mnist'"),
        ("missing.pt2", "there is no model 'missing.pt2'"),
    ],
)
def test_wrong_models(package: str, spec: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_model(spec.format(package))
    assert caught.value.problems == (Problem(what.format(package), fix=FORMS),)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ckpt"])
def test_pickles_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"never read")
    with pytest.raises(UsageError) as caught:
        load_model(str(tmp_path / name))
    assert str(caught.value) == (
        f"model must not be a pickle: {tmp_path / name}\n"
        "  why: unpickling a model runs code from the file\n"
        "  fix: save it with torch.export.save as .pt2, or load its weights in a factory (safetensors)"
    )


@pytest.mark.parametrize(
    ("package_name", "call", "message"),
    [
        (
            "torch",
            lambda: load_model("digits"),
            'PyTorch is not installed\n  fix: pip install "hlsgen[torch]"',
        ),
        (
            "sklearn",
            lambda: load_data("digits"),
            'scikit-learn is not installed\n  fix: pip install "hlsgen[examples]"',
        ),
        (
            "transformers",
            lambda: load_model("hlsgen.examples.vit.transformers_models:deit_tiny"),
            'transformers is not installed\n  fix: pip install "hlsgen[transformers]"',
        ),
    ],
)
def test_missing_packages(
    monkeypatch: pytest.MonkeyPatch, package_name: str, call: Any, message: str
) -> None:
    original = builtins.__import__
    monkeypatch.setitem(sys.modules, package_name, None)

    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == package_name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    for module in ("digits.model", "vit.transformers_models"):
        monkeypatch.delitem(sys.modules, f"hlsgen.examples.{module}", raising=False)
    with pytest.raises(ToolMissing) as caught:
        call()
    assert str(caught.value) == message


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 1, 8, 8)).astype(np.float32)


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images(3).astype(np.float64))
    data = load_data(str(tmp_path / "a.npy"), shape=(1, 8, 8))
    assert data.images.dtype == np.float32
    assert np.array_equal(data.images, images(3))
    assert data.labels is None
    np.savez(tmp_path / "b.npz", images=images(2, 1), labels=np.array([4, 5], np.uint8))
    data = load_data(str(tmp_path / "b.npz"))
    assert data.labels is not None
    assert data.labels.tolist() == [4, 5]
    assert data.labels.dtype == np.int64
    folder = load_data(str(tmp_path))
    assert np.array_equal(folder.images, np.concatenate([images(3), images(2, 1)]))
    assert folder.labels is None
    np.save(tmp_path / "one.npy", images(1, 2)[0])
    assert load_data(str(tmp_path / "one.npy")).images.shape == (1, 1, 8, 8)
    np.savez(tmp_path / "any.npz", anything=images(2))
    assert load_data(str(tmp_path / "any.npz")).images.shape == (2, 1, 8, 8)


def test_folder_of_labelled_files(tmp_path: Path) -> None:
    for name, seed in (("b", 1), ("a", 2)):
        np.savez(tmp_path / f"{name}.npz", x=images(2, seed), y=np.full(2, seed))
    data = load_data(str(tmp_path))
    assert data.labels is not None
    assert data.labels.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 1, 8, 8), np.uint8)}, "images must be floats, not uint8"),
        ({"images": np.zeros((8, 8))}, "images must be [N, C, H, W], not [8, 8]"),
        ({"images": np.zeros((0, 1, 8, 8))}, "images must be [N, C, H, W], not [0, 1, 8, 8]"),
        (
            {"images": np.full((1, 1, 8, 8), np.nan)},
            "images must be finite, not NaN or infinite: look at image 0",
        ),
        ({"images": images(2), "labels": np.zeros(3)}, "labels must be [2], not [3]"),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(CalibrationError) as caught:
        load_data(str(path))
    assert caught.value.problems[0].what == f"{path}: {message}"


def test_wrong_data(tmp_path: Path) -> None:
    def fails(spec: Path | str, **options: Any) -> str:
        with pytest.raises(CalibrationError) as caught:
            load_data(str(spec), **options)
        return caught.value.problems[0].what

    assert fails("nothing.npy") == "there is no data 'nothing.npy'"
    assert fails(tmp_path) == f"{tmp_path} must hold .npy or .npz files, or pictures"
    assert fails("digits", shape=(3, 8, 8)) == "digits: images must be 3x8x8, not 1x8x8"
    (tmp_path / "a.tiff").write_bytes(b"")
    assert fails(tmp_path / "a.tiff") == f"{tmp_path / 'a.tiff'} must be a .npy or .npz file"
    np.savez(tmp_path / "a.npz", left=images(1), right=images(1))
    assert fails(tmp_path / "a.npz") == f"{tmp_path / 'a.npz'} must hold an array 'images', not left, right"
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert fails(tmp_path / "b.npy") == f"{tmp_path / 'b.npy'} can't be read as plain arrays"
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    assert fails(tmp_path / "b.npy") == f"{tmp_path / 'b.npy'} can't be read as plain arrays"
    np.save(tmp_path / "b.npy", images(1)[:, :, :4])
    np.save(tmp_path / "a.npy", images(1))
    (tmp_path / "a.npz").unlink()
    assert (
        fails(tmp_path) == f"{tmp_path}: all images must have one shape, not 1x8x8 in a.npy, 1x4x8 in b.npy"
    )
