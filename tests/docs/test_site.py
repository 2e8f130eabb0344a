# SPDX-License-Identifier: Apache-2.0
"""The site has every page once, in the parts of docs/README.md; its links stay within it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.pages import PAGES

from scripts.site import main, pages, parts, rewritten, stage


def test_every_page_is_in_the_site_once() -> None:
    assert len(pages()) == len(PAGES)
    text = rewritten(pages()["index.md"])
    trees = re.findall(r"```\{toctree\}\n:hidden:\n:caption: (.*?)\n\n(.*?)```", text, re.DOTALL)
    assert trees[0][0] == "Begin"
    named = [name for _, names in trees for name in names.split()]
    assert sorted(named) == sorted(pages().keys() - {"index.md"})


def test_links_lead_to_pages_of_the_site_and_others_are_code(tmp_path: Path) -> None:
    stage(tmp_path)
    assert "[deployment.md](deployment.md)" in rewritten(pages()["index.md"])
    assert "(contributing.md#add-a-board)" in rewritten(pages()["deployment.md"])
    assert "![The way" in (text := rewritten(pages()["overview.md"]))
    assert "(pictures/machine.svg)" in text
    assert (tmp_path / "pictures/machine.svg").is_file()
    assert "`LICENSE`" in text
    assert parts("## A\n\n[x](nowhere.md)\n").count(".md") == 1  # only the overview


def test_sphinx_has_nothing_to_say(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    assert main(tmp_path / "site") == 0
    page = (tmp_path / "site/errors.html").read_text()
    assert 'id="hg005"' in page
