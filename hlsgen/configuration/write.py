# SPDX-License-Identifier: Apache-2.0
"""The text of `hlsgen.toml`, with a comment on every entry: the docstring of its field."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterator
from functools import cache

import tomli_w

from hlsgen.configuration.schema import Configuration

WIDTH = 100
"""Columns of a comment."""


def configuration_text(found: Configuration, *, comments: bool = True) -> str:
    """The file. What is None stands as a comment; without `comments` it is left out."""
    parts = []
    values = found.plain()
    for section, kind in typing.get_type_hints(Configuration).items():
        lines = [f"# {_summary(kind)}"] if comments else []
        lines.append(f"[{section}]")
        tables = []
        for name, about in _fields(kind):
            value = values[section].get(name)
            note = textwrap.wrap(about, WIDTH, break_on_hyphens=False) if comments else []
            if isinstance(value, dict):
                entry = (
                    tomli_w.dumps({section: {name: value}}).removeprefix(f"[{section}]\n") if value else ""
                )
                head = entry or f"[{section}.{name}]\n"
                tables += [*(f"# {line}" for line in note), head.strip(), ""] if comments or value else []
                continue
            lines += [f"# {line}" for line in note]
            lines += [tomli_w.dumps({name: value}).strip()] if value is not None else []
            lines += [f"# {name} ="] if value is None and comments else []
            lines += [""] if comments else []
        parts += [*lines, "", *tables] if not comments else [*lines, *tables]
    return "\n".join(parts).rstrip("\n") + "\n"


def _summary(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").splitlines()[0]


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """Name and docstring of each field, in order."""
    notes = {name: about for each in reversed(kind.__mro__) for name, about in _notes(each).items()}
    for item in dataclasses.fields(kind):
        yield item.name, notes[item.name]


@cache
def _notes(kind: type) -> dict[str, str]:
    """The string behind each annotated name of a class body: Python keeps none of them."""
    if not dataclasses.is_dataclass(kind):
        return {}
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for entry, after in zip(body.body, body.body[1:], strict=False):
        match entry, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
