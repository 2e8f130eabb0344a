# SPDX-License-Identifier: Apache-2.0
"""Pictures in `simulate --images` and `evaluate` become images as those of the compilation did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.graphs import TINY, integer_vit

import hlsgen
from hlsgen.cli import main
from hlsgen.cli.simulate import preprocessing

TABLE: dict[str, Any] = {"size": {"height": 4, "width": 4}, "image_mean": [0.5], "image_std": [0.25]}


def _asked(**data: Any) -> dict[str, Any]:
    return {"configuration": {"model": {"name": "mine:made"}, "data": data}}


def test_the_compilation_s_settings_are_taken(tmp_path: Path) -> None:
    graph = integer_vit(TINY)
    assert preprocessing(hlsgen.compile(graph, array="2x2x2")) is None
    assert preprocessing(hlsgen.compile(graph, array="2x2x2", notes=_asked())) is None
    design = hlsgen.compile(graph, array="2x2x2", notes=_asked(preprocessing=TABLE))
    assert preprocessing(design) == TABLE
    (tmp_path / "preprocessor_config.json").write_text("{}")
    notes = {"configuration": {"model": {"name": str(tmp_path)}}}
    found = preprocessing(hlsgen.compile(graph, array="2x2x2", notes=notes))
    assert found == str(tmp_path / "preprocessor_config.json")


def test_a_folder_of_pictures_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    graph = integer_vit(TINY)
    channels, height, width = graph.input_type.shape
    table = TABLE | {"size": {"height": height, "width": width}}
    notes = _asked(preprocessing=table)
    hlsgen.compile(graph, array="2x2x2", notes=notes).save(tmp_path / "build")
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    for index in range(2):
        mode = "L" if channels == 1 else "RGB"
        image.new(mode, (20, 30), 90 * index).save(pictures / f"{index}.png")
    command = ["simulate", str(tmp_path / "build"), "--images", str(pictures), "--json"]
    assert main(command) == 0, capsys.readouterr().out
    assert json.loads(capsys.readouterr().out)["images"] == 2
