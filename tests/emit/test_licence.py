# SPDX-License-Identifier: Apache-2.0
"""Every generated folder holds its licence, and every generated source names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.graphs import TINY, integer_vit

from hlsgen.emit.licence import FILE, LINE, licence
from hlsgen.pipeline import compile as compile_graph

ROOT = Path(__file__).resolve().parents[2]
# JSON, text for people, data and hashes have no comments.
WITHOUT = {".json", ".md", ".txt", ".npy", ".npz", ".bin", ".safetensors", ".hex", ""}
SENTENCE = "Licence: what hlsgen wrote here is Apache-2.0, see `LICENSE`; closed products may use it."


@pytest.mark.parametrize("board", ["ulx3s-85f", "zcu102"])
def test_generated_folders_hold_their_licence(board: str, tmp_path: Path) -> None:
    design = compile_graph(integer_vit(TINY), board=board, array="2x2x4").save(tmp_path / "design")
    for place in (tmp_path / "design", design.export(board)):
        assert (place / FILE).read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8") == licence()
        assert SENTENCE in (place / "README.md").read_text("utf-8")
    files = [path for path in (tmp_path / "design").rglob("*") if path.is_file()]
    sources = [path for path in files if path.suffix not in WITHOUT or path.name == "Makefile"]
    assert {path.suffix for path in sources} >= {".v", ".cpp", ".hpp", ".py", ".tcl"}
    assert [str(path) for path in sources if LINE not in path.read_text("utf-8")[:200]] == []
