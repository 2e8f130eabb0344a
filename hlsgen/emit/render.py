# SPDX-License-Identifier: Apache-2.0
"""Jinja2 templates to text, and names that are safe in every file that they reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def render(template: str, context: Mapping[str, Any]) -> str:
    """Text of `templates/{template}.j2`; an unknown variable is an error.

    Every template sees `interface` and `runs` of `hlsgen.machine.format`: registers, codes and layouts, and
    those of run lists.
    """
    import jinja2

    import hlsgen.templates
    from hlsgen.machine.format import interface, runs

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(next(iter(hlsgen.templates.__path__)))),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["interface"] = interface
    environment.globals["runs"] = runs
    return environment.get_template(f"{template}.j2").render(context)


def safe_name(name: str, default: str = "design") -> str:
    """A name of letters, digits and underscores, not beginning with a digit, of at most 64 characters."""
    cleaned = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:64].rstrip("_")
    if not cleaned:
        return default
    return cleaned if cleaned[0].isalpha() else f"n{cleaned}"


def plain_text(text: str, default: str = "accelerator") -> str:
    """Text on one line, of ASCII characters that mean nothing to a shell, to make or to Tcl."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in " _-.,:") else " " for c in text)
    return " ".join(kept.split()) or default


def module_ports(verilog: str, module: str) -> dict[str, tuple[str, int]]:
    """Direction (in, out) and width of every port of a Verilog module, in the order of its declarations.

    Raises `UsageError` when the text has no such module.
    """
    from hlsgen.errors import UsageError
    from hlsgen.errors.codes import Code

    head = re.search(rf"^\s*module\s+\\?{re.escape(module)}\s*\(", verilog, re.MULTILINE)
    if head is None:
        raise UsageError(f"the Verilog must hold the module {module}", code=Code.PROJECT)
    end = verilog.find("endmodule", head.end())
    ports: dict[str, tuple[str, int]] = {}
    declaration = r"\b(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):(\d+)\]\s*)?(\w+)"
    for match in re.finditer(declaration, verilog[head.start() : end]):
        kind, high, low, name = match.groups()
        width = 1 if high is None else abs(int(high) - int(low)) + 1
        ports[name] = ("in" if kind == "input" else "out", width)
    return ports
