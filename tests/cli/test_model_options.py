# SPDX-License-Identifier: Apache-2.0
"""What is said of a MODEL besides its shape: --outputs, --weights and --no-compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file

import hlsgen
from hlsgen import Design
from hlsgen.cli import main
from hlsgen.errors import EXIT_OK, EXIT_UNSUPPORTED, EXIT_USAGE
from hlsgen.ir import quantize_images, results
from tests.support.outputs import Encoder, pictures

FACTORY = """
import torch
from tests.support.outputs import Encoder, pictures

def several(_, x):
    return {"tokens": x.last, "grid": x.normed[:, 1:].transpose(1, 2).reshape(1, -1, 2, 3)}

def made():
    return Encoder(several).eval(), torch.from_numpy(pictures(1))

def lost(_, x):
    return x.normed if torch.compiler.is_exporting() else x.normed + 1.0

def differs():
    return Encoder(lost).eval(), torch.from_numpy(pictures(1))
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the command line in a folder that has the module `encoders`."""
    (tmp_path / "encoders.py").write_text(FACTORY)
    np.save(tmp_path / "images.npy", pictures(16))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def compiled(run: Any, *options: str) -> Design:
    """The design of `made` for the smallest board, with these options."""
    board = ("--board", "ulx3s-85f", "--array", "4x4x8", "--calibration", "images.npy", "-o", "x")
    code, _, error = run("compile", "encoders:made", *board, *options)
    assert code == EXIT_OK, error
    return Design.load("x")


def test_outputs_are_chosen_by_name(run: Any) -> None:
    code, out, _ = run("inspect", "encoders:made", "--json")
    assert (code, json.loads(out)["architecture"]["outputs"]) == (EXIT_OK, "7 x 9, 6 x 9")
    code, out, _ = run("inspect", "encoders:made", "--outputs", "grid", "--json")
    assert (code, json.loads(out)["architecture"]["outputs"]) == (EXIT_OK, "6 x 9")
    code, _, error = run("inspect", "encoders:made", "--outputs", "grids")
    assert code == EXIT_USAGE
    assert (
        "outputs must be names of what the model returns, not 'grids'\n  why: the names are tokens, grid"
        in error
    )


def test_a_model_compiles_plain_with_weights_of_a_file_and_chosen_outputs(run: Any, tmp_path: Path) -> None:
    def grid(_: Any, x: Any) -> Any:
        return x.normed[:, 1:].transpose(1, 2).reshape(1, -1, 2, 3)

    other = Encoder(grid).eval()
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(0.1)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    design = compiled(
        run, "--weights", "other.safetensors", "--outputs", "grid", "--quantizer", "centred=false"
    )
    captured, config = hlsgen.capture(other, pictures(1)), hlsgen.QuantizeConfig(centred=False)
    expected = hlsgen.quantize(captured, pictures(16), config).graph
    assert expected != hlsgen.quantize(captured, pictures(16)).graph
    integers = quantize_images(pictures(2), expected.input_type)
    np.testing.assert_array_equal(design.results(integers)[""], results(expected, integers)[""])
    found = design.predict(pictures(2))
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, 9, 2, 3)


def test_weights_that_do_not_fit_are_refused(run: Any, tmp_path: Path) -> None:
    save_file({"head.bias": torch.zeros(5)}, tmp_path / "part.safetensors")
    code, _, error = run("inspect", "encoders:made", "--weights", "part.safetensors")
    assert code == EXIT_USAGE
    assert "part.safetensors" in error
    assert "head.weight" in error


def test_a_comparison_is_left_out_on_demand(run: Any) -> None:
    code, out, _ = run("inspect", "encoders:differs")
    assert code == EXIT_UNSUPPORTED
    assert "export of another model: the output of the float Graph must be the model's" in out
    assert run("inspect", "encoders:differs", "--no-compare")[0] == EXIT_OK


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("logit_width", "must be NAME=VALUE, for example logit_width=12, not 'logit_width'"),
        ("logit_with=12", "quantizer.logit_with is not known"),
        ("logit_width=twelve", "quantizer.logit_width: the value should be a valid integer, not 'twelve'"),
        ("logit_width=99", "quantizer.logit_width must be in 8..12, not 99"),
        ("activations=mse:99", "quantizer.activations: mse must be in 0..80, not '99'"),
    ],
)
def test_wrong_entries_of_the_quantizer_are_refused(
    entry: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["compile", "digits", "--quantizer", entry, "-o", str(tmp_path / "x")]) == 2
    assert message in capsys.readouterr().err
