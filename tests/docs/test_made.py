# SPDX-License-Identifier: Apache-2.0
"""The generated parts of the pages are current; `make table` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.pages import text

from scripts.blocks import BLOCK, stated

NUMBER = r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w])"


def test_the_map_has_the_floors_and_chains() -> None:
    from scripts.map import tables

    assert stated("map.md") == tables()


def test_the_interface_has_every_name() -> None:
    pytest.importorskip("torch")
    from scripts.api import entries

    assert stated("api.md") == entries()


def test_the_interface_shows_all_of_hlsgen() -> None:
    import hlsgen

    page = text("docs/api.md")
    assert [
        name for name in hlsgen.__all__ if f"`{name}`" not in page and f"`hlsgen.{name}`" not in page
    ] == []


def test_the_tutorial_is_computed() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    from scripts.tutorial import blocks

    assert stated("tutorial.md") == blocks()


def test_the_picture_is_drawn_from_the_tutorial_s_design() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    from scripts.picture import PLACE, picture
    from scripts.tutorial import make

    drawn = picture(make().design)
    assert PLACE.read_text("utf-8") == drawn
    for word in ("LOAD", "MULTIPLY", "DRAIN", "attention", "integer model"):
        assert f">{word}<" in drawn


def test_every_code_and_every_verb_is_on_its_page() -> None:
    from scripts.errors import codes, verbs

    assert stated("errors.md") == codes()
    assert stated("command_line.md") == verbs()


def test_every_number_of_the_tutorial_is_computed() -> None:
    page = text("docs/tutorial.md")
    computed = set(re.findall(NUMBER, "".join(match[3] for match in BLOCK.finditer(page))))
    prose = re.sub(r"^```.*?^```|`[^`]*`|\]\([^)]*\)", "", BLOCK.sub("", page), flags=re.M | re.DOTALL)
    assert set(re.findall(NUMBER, prose)) <= computed


def test_the_examples_of_the_interface_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    page = re.sub(BLOCK, "", text("docs/api.md"))
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) > 12
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/api.md", "exec"), names)  # noqa: S102 the page's own text
