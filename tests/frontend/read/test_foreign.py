# SPDX-License-Identifier: Apache-2.0
"""Models that are none, and factories that fail: what is said of each."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hlsgen.errors import HlsgenError, ToolMissing, UsageError
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.model import load_model

FACTORY = "write a function without arguments that returns the model in eval mode, give module:function"
LOADER = f"{FACTORY}; load them there"
WEIGHTS = (
    "give the model's module:factory with --weights FILE, or the folder with config.json beside the weights"
)
HEAD = "model must be a saved export (.pt2), not"
MODULE = """
import sys
from torch import nn
class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
def keywords(*, width):
    return Wide(width)
def raises():
    raise RuntimeError("first line\\nsecond")
def leaves():
    sys.exit(0)
def recurses():
    return recurses()
def absent():
    import nowhere_to_be_found
def partly():
    from json import nothing_there
def plain():
    return nn.Identity()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "failing_for_test.py").write_text(MODULE)
    for name, text in (
        ("broken_syntax", "def f(:\n"),
        ("broken_value", "int('x')\n"),
        ("leaves_early", "exit()\n"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_for_test", raising=False)
    return "failing_for_test"


def refusal(spec: str, kind: type[HlsgenError] = UsageError) -> str:
    with pytest.raises(kind) as caught:
        load_model(spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.safetensors", f"a file of weights: {{}}\n  why: weights are no program\n  fix: {WEIGHTS}"),
        ("a.h5", f"a Keras file: {{}}\n  why: hlsgen reads PyTorch models\n  fix: {FACTORY}"),
        ("a.npz", f"a file of arrays: {{}}\n  why: arrays are no program\n  fix: {LOADER}"),
    ],
)
def test_files_of_other_kinds(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"never read")
    assert refusal(str(tmp_path / name)) == f"{HEAD} {text.format(tmp_path / name)}"
    assert refusal(str(tmp_path / f"no_{name}")).startswith(f"there is no model '{tmp_path}")


def test_folders(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == f"{HEAD} a folder: {tmp_path}\n  fix: {FACTORY}"
    (tmp_path / "manifest.json").write_text("{}")
    fix = f"it is compiled already: hlsgen simulate {tmp_path}"
    assert refusal(str(tmp_path)) == f"{HEAD} a build folder: {tmp_path}\n  fix: {fix}"


def test_a_source_file_is_given_by_its_function(module: str) -> None:
    assert refusal(f"{module}.py") == (
        f"model must be a function of a module, not the file {module}.py\n"
        f"  fix: give {module}:FUNCTION, in the folder of {module}.py"
    )


REQUIRED, MEND = "missing a required argument: 'width'", "mend your code there"
DEEP = "maximum recursion depth exceeded"
WRAP = "wrap it in a function without arguments that returns the model in eval mode"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Wide", f"be callable without arguments\n  why: {REQUIRED}\n  fix: {WRAP}"),
        ("keywords", f"be callable without arguments\n  why: {REQUIRED}\n  fix: {WRAP}"),
        ("raises", f"return the model\n  where: {{0}}.py:10\n  why: RuntimeError: first line\n  fix: {MEND}"),
        ("leaves", f"return the model\n  where: {{0}}.py:12\n  why: SystemExit: 0\n  fix: {MEND}"),
        ("recurses", f"return the model\n  where: {{0}}.py:14\n  why: RecursionError: {DEEP}\n  fix: {MEND}"),
    ],
)
def test_factories_that_fail(module: str, name: str, text: str) -> None:
    assert refusal(f"{module}:{name}") == f"{module}:{name} must {text.format(module)}"


def test_packages_that_a_factory_misses(module: str) -> None:
    assert refusal(f"{module}:absent", ToolMissing) == (
        "the module nowhere_to_be_found is not installed\n  fix: install what the model needs"
    )
    text = refusal(f"{module}:partly", ToolMissing)
    assert text.startswith(
        "a package can't be imported\n  why: cannot import name 'nothing_there' from 'json'"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken_syntax", "module broken_syntax can't be imported\n  where: broken_syntax.py:1\n  why: Syn"),
        (
            "broken_value",
            "module broken_value can't be imported\n  where: broken_value.py:1\n  why: Val",
        ),
        ("leaves_early", "module leaves_early can't be imported\n"),
        ("a b", "'a b:f' must be package.module:factory\n"),
        ("a\0b", "'a\\x00b:f' must be package.module:factory\n"),
    ],
)
def test_modules_that_fail(module: str, name: str, text: str) -> None:
    assert module
    assert refusal(f"{name}:f").startswith(text)


def test_names_that_no_file_has() -> None:
    assert refusal("a" * 300).startswith(f"there is no model '{'a' * 76}...\n")
    assert refusal("a\0b").startswith("there is no model 'a\\x00b'\n")


def test_without_an_example_the_shape_is_asked_for(module: str) -> None:
    loaded = load_model(f"{module}:plain")
    with pytest.raises(UsageError) as caught:
        capture(loaded.model, loaded.example)
    assert str(caught.value) == (
        "the model's input shape is needed\n  why: no example image was given or returned\n"
        "  fix: --shape CxHxW, for example --shape 3x224x224; "
        "in Python, example_inputs=torch.zeros(1, C, H, W)"
    )
    example = load_model(f"{module}:plain", (3, 4, 5)).example
    assert np.shape(example) == (1, 3, 4, 5)
