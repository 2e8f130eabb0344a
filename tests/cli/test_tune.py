# SPDX-License-Identifier: Apache-2.0
"""`hlsgen tune`: the table, the search, the file that compile takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hlsgen.cli import main
from hlsgen.configuration.read import read_configuration

WORSE = ["--quantizer", "activations=percentile:99", "--quantizer", "centred=false"]


def test_the_table_as_text_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "digits", "--count", "4"]) == 0
    text = capsys.readouterr().out
    assert "tensor alone" in text
    assert "weights alone" in text
    assert text.rstrip().endswith("measured on 4 images")
    assert main(["tune", "digits", "--count", "4", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    names = {row["name"] for row in data["tensors"]}
    assert {"blocks_0_mlp_fc1", "blocks_2_attn_softmax", "head"} <= names
    assert {row["bits"] for row in data["weights"]} == {4, 8}


def test_a_target_ends_in_a_file_that_compiles(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["tune", "digits", "--count", "40", *WORSE, "--target-db", "30", "--target-drop", "1", "--json"]
    assert main([*call, "-o", "my file.toml"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["met"]
    assert data["tries"][0]["db"] < 30 <= data["tries"][-1]["db"]
    found = read_configuration(Path("my file.toml"))
    assert found.quantizer.activations == data["quantizer"]["activations"] != "percentile:99"
    assert found.model.name == "digits"


def test_a_file_that_cannot_be_written_is_refused_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["tune", "digits", "-o", str(tmp_path / "none" / "x.toml")]) == 2
    assert "can't be written" in capsys.readouterr().err
