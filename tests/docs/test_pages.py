# SPDX-License-Identifier: Apache-2.0
"""Every link, path, command and make target that a page names is there."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from docs.pages import PAGES, ROOT, VARIABLE, anchors, commands, links, paths

from hlsgen.cli import VERBS, parser


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT)))):
            lost.append(link)
    assert not lost


def _forms(path: str) -> list[str]:
    """`{a,b}_c` as both of its paths."""
    parts = re.split(r"\{([^}]*)\}", path)
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    return ["".join(form) for form in itertools.product(*choices)]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    named = [path for path in paths(page) if not VARIABLE.search(Path(path).stem)]
    assert [path for path in named for form in _forms(path) if not list(ROOT.glob(form.rstrip("/")))] == []


def test_every_page_is_in_the_index() -> None:
    pages = {path for path in PAGES if path.startswith("docs/")} - {"docs/README.md"}
    assert {f"docs/{link.partition('#')[0]}" for link in links("docs/README.md")} >= pages


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_hlsgen_is_understood(page: str) -> None:
    (verbs,) = (action for action in parser()._actions if action.dest == "verb")
    assert isinstance(verbs.choices, dict)
    wrong = []
    for verb, *words in filter(None, commands(page, "hlsgen")):
        known = {"--help", "--json"} if verb not in VERBS else set(verbs.choices[verb]._option_string_actions)
        ok = verb in VERBS or verb.startswith("-")
        if not ok or {word for word in words if re.match(r"--?[a-z]", word)} - known:
            wrong.append(" ".join((verb, *words)))
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_run_is_there_with_its_options(page: str) -> None:
    wrong = []
    for module, *words in commands(page, "python", "-m"):
        place = ROOT / ("tests" if module.startswith("quantization.") else "") / module.replace(".", "/")
        files = [path for path in (place.with_suffix(".py"), place / "__main__.py") if path.is_file()]
        source = "".join(path.read_text("utf-8") for path in files)
        options = [word for word in words if word.startswith("--") and word != "--help"]
        if not files or any(f'"{option}"' not in source for option in options):
            wrong.append(" ".join((module, *words)))
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    files = ("Makefile", "templates/folder/Makefile.j2")
    lines = [line for name in files for line in (ROOT / name).read_text("utf-8").splitlines()]
    known = {name for line in lines if (match := re.match(r"([a-z -]+):", line)) for name in match[1].split()}
    assert {words[0] for words in commands(page, "make") if words} <= known


def test_the_pages_name_commands() -> None:
    """The rules above have something to hold."""
    assert sum(len(commands(page, "hlsgen")) for page in PAGES) > 20
    assert sum(len(commands(page, "python", "-m")) for page in PAGES) > 10
    assert sum(len(paths(page)) for page in PAGES) > 150
