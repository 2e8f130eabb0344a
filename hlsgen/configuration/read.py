# SPDX-License-Identifier: Apache-2.0
"""From the text of `hlsgen.toml` to a `Configuration`; pydantic finds every wrong entry at once."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.configuration.schema import Configuration
from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails


def read_configuration(path: Path) -> Configuration:
    """The configuration in a file; raises `UsageError` with every entry that is wrong."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            Problem(
                f"{path} can't be read",
                why=error.strerror or str(error),
                fix=f"hlsgen init MODEL -o {path} writes one",
            ),
            code=Code.READ,
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(Problem(f"{path} must be TOML", why=str(error)), code=Code.CONFIGURATION) from error
    try:
        return configuration(data)
    except UsageError as error:
        raise UsageError(
            [dataclasses.replace(each, where=each.where or str(path)) for each in error.problems],
            code=Code.CONFIGURATION,
        ) from error


def configuration(data: Mapping[str, Any]) -> Configuration:
    """The configuration of plain data, as `Configuration.plain` gives it; raises as `read_configuration`."""
    problems = _problems(data)
    sections: dict[str, Any] = {}
    if not problems:
        for name, kind in typing.get_type_hints(Configuration).items():
            try:
                sections[name] = kind(**{key: _made(value) for key, value in data.get(name, {}).items()})
            except UsageError as error:
                problems += [dataclasses.replace(each, what=f"{name}.{each.what}") for each in error.problems]
    if problems:
        raise UsageError(problems, code=Code.CONFIGURATION)
    return Configuration(**sections)


def _made(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _problems(data: Mapping[str, Any]) -> list[Problem]:
    """What pydantic says of keys and types."""
    from pydantic import ValidationError

    try:
        # As JSON, for there a strict tuple may be a list.
        _validator().model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        # One wrong value of several possible types is one problem.
        found = {_place(each): each for each in error.errors(include_url=False)}
        return [_problem(place, each) for place, each in found.items()]
    return []


def _validator() -> type[BaseModel]:
    """The pydantic model of `Configuration`: its fields, and no other ones."""
    from pydantic import ConfigDict, create_model

    def model(kind: type) -> type[BaseModel]:
        hints = typing.get_type_hints(kind)
        fields: dict[str, Any] = {}
        for item in dataclasses.fields(kind):
            inside = hints[item.name]
            fields[item.name] = (model(inside) if kind is Configuration else inside, None)
        return create_model(
            kind.__name__, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields
        )

    return model(Configuration)


def _place(error: ErrorDetails) -> tuple[str, ...]:
    """Section and key, without the parts that name a member of a union."""
    keys = [str(part) for part in error["loc"]]
    return tuple(keys[:2]) if len(keys) < 3 or not isinstance(error["loc"][2], int) else (*keys[:2], keys[2])


def _problem(place: tuple[str, ...], error: ErrorDetails) -> Problem:
    name = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = _keys(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        fix = (
            f"did you mean {near[0]}?"
            if near
            else f"{'keys' if len(place) > 1 else 'tables'}: {', '.join(known)}"
        )
        return Problem(f"{name} is not known", fix=fix)
    if error["type"] == "missing":
        return Problem(f"{name} is missing")
    rule = error["msg"].removeprefix("Input ")
    return Problem(f"{name}: the value {rule}, not {shown(error['input'])}")


def _keys(place: tuple[str, ...]) -> list[str]:
    """Names of the tables, or of a table's keys."""
    kind = typing.get_type_hints(Configuration)[place[0]] if place else Configuration
    return [item.name for item in dataclasses.fields(kind)]
