# SPDX-License-Identifier: Apache-2.0
"""The entries of docs/api.md, from signatures and docstrings: `python -m scripts.api` writes them.

The page has an example and what goes beyond a docstring; names, parameters and defaults are the code's.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import hlsgen
from hlsgen import errors, nn
from hlsgen.fit.options import Asked, CompileOptions
from hlsgen.frontend.inspect import InspectReport
from hlsgen.quantization import Quantized
from hlsgen.quantization.report import Report as QuantizationReport
from hlsgen.report import Report
from hlsgen.sim.result import Simulation
from scripts.blocks import rewrite

FUNCTIONS = ("capture", "quantize", "compile", "build", "inspect")
CLASSES: dict[str, type] = {
    "Design": hlsgen.Design,
    "Samples": hlsgen.Samples,
    "QuantizeConfig": hlsgen.QuantizeConfig,
    "Quantized": Quantized,
    "Quantized.report": QuantizationReport,
    "Simulation": Simulation,
    "Report": Report,
    "InspectReport": InspectReport,
}


def signature(name: str, function: Any, *, method: bool = False) -> str:
    """`name(...) -> result` as the source has it, one parameter to a line where it is long."""
    found = inspect.signature(function)
    items = list(found.parameters.values())[int(method) :]
    parts = [part for item in items for part in _parameters(item)]
    if (
        first := next((i for i, item in enumerate(items) if item.kind is item.KEYWORD_ONLY), None)
    ) is not None:
        parts.insert(first, "*")
    result = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _parameters(item: inspect.Parameter) -> Iterator[str]:
    """A parameter with its type and default; options of a compilation one by one."""
    if item.kind is item.VAR_KEYWORD and item.annotation == "Unpack[Asked]":
        options = {field.name: field for field in dataclasses.fields(CompileOptions)}
        for name in Asked.__annotations__:
            yield f"{name}: {options[name].type} = {options[name].default!r}"
        return
    text = item.name if item.annotation is item.empty else f"{item.name}: {item.annotation}"
    yield text if item.default is item.empty else f"{text} = {_default(item.default)}"


def _default(value: object) -> str:
    return "..." if inspect.isroutine(value) else repr(value)


def prose(text: str | None) -> str:
    """A docstring as Markdown: a section with a line below its title becomes a list."""
    lines, found = inspect.cleandoc(text or "").splitlines(), []
    for index, line in enumerate(lines):
        below = lines[index + 1] if index + 1 < len(lines) else ""
        if below and set(below) == {"-"}:
            found += [f"{line}:", ""]
        elif line and set(line) == {"-"} and index:
            continue
        elif line.startswith("    "):
            found.append(f"  {line.strip()}")
        elif line and index + 1 < len(lines) and below.startswith("    ") and not below.startswith("     "):
            found.append(f"- {', '.join(f'`{name}`' for name in line.split(', '))}:")
        else:
            found.append(line)
    return "\n".join(found).strip() + "\n"


def fields(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and docstring of each public field of a dataclass, bases first."""
    notes: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        if isinstance(body, ast.ClassDef):
            for before, after in zip(body.body, body.body[1:], strict=False):
                text = _text(after)
                if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                    notes[before.target.id] = " ".join(text.split())
    for item in dataclasses.fields(cls):
        if not item.name.startswith("_"):
            yield item.name, str(item.type), _field_default(item), notes.get(item.name, "")


def _text(node: ast.stmt) -> str:
    """The string that a statement is, or nothing."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _field_default(item: dataclasses.Field) -> str:
    if item.default is not dataclasses.MISSING:
        return f"`{item.default!r}`"
    return "" if item.default_factory is dataclasses.MISSING else "empty"


def members(cls: type) -> Iterator[tuple[str, str, str | None]]:
    """Name, signature and docstring of each public method and property, in the order of the source."""
    seen: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        seen |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    names = {item.name for item in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    for name, value in seen.items():
        if isinstance(value, property):
            yield name, name, inspect.getdoc(value.fget)
        elif isinstance(value, functools.cached_property):
            yield name, name, inspect.getdoc(value.func)
        elif isinstance(value, classmethod):
            yield name, signature(name, value.__func__, method=True), inspect.getdoc(value.__func__)
        elif inspect.isfunction(value) and name not in names:
            yield name, signature(name, value, method=True), inspect.getdoc(value)


def entry(text: str, doc: str | None) -> str:
    """A signature and its docstring."""
    return f"```python\n{text}\n```\n\n{prose(doc)}"


def class_entry(cls: type) -> str:
    """A class: docstring, fields as a table, members."""
    parts = [prose(inspect.getdoc(cls))]
    if dataclasses.is_dataclass(cls) and (rows := list(fields(cls))):
        lines = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{n}` | `{t.replace('|', chr(92) + '|')}` | {d} | {m} |" for n, t, d, m in rows]
        parts.append("\n".join(lines) + "\n")
    parts += [f"#### `{cls.__name__}.{name}`\n\n{entry(text, doc)}" for name, text, doc in members(cls)]
    return "\n".join(parts)


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """The public classes and functions that a module defines: those of `__all__`, or all of them."""
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
            yield name, value


def module_entry(module: Any) -> str:
    """All of a module's public classes and functions."""
    parts = []
    for name, value in public(module):
        text = signature(f"{module.__name__}.{name}", value)
        parts.append(f"### `{name}`\n\n{entry(text, inspect.getdoc(value))}")
        if isinstance(value, type):
            own = {key: item for key, item in vars(value).items() if inspect.isfunction(item)}
            for key, item in own.items():
                if not key.startswith("_"):
                    text = signature(key, item, method=True)
                    parts.append(f"#### `{name}.{key}`\n\n{entry(text, inspect.getdoc(item))}")
    return "\n".join(parts)


def error_table() -> str:
    """Every error and warning with its exit code."""
    lines = ["| class | exit code | meaning |", "| --- | --- | --- |"]
    for name, value in public(errors):
        if isinstance(value, type) and issubclass(value, Exception):
            code = str(getattr(value, "exit_code", "")) if issubclass(value, errors.HlsgenError) else ""
            lines.append(f"| `{name}` | {code} | {(inspect.getdoc(value) or '').splitlines()[0]} |")
    return "\n".join(lines) + "\n"


def entries() -> dict[str, str]:
    """Every part of the page by its name."""
    parts = {}
    for name in FUNCTIONS:
        function = getattr(hlsgen, name)
        parts[name] = entry(signature(f"hlsgen.{name}", function), inspect.getdoc(function))
    parts |= {name: class_entry(cls) for name, cls in CLASSES.items()}
    return parts | {"hlsgen.nn": module_entry(nn), "hlsgen.errors": error_table()}


if __name__ == "__main__":
    rewrite("api.md", entries())
