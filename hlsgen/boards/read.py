# SPDX-License-Identifier: Apache-2.0
"""Boards as data: one TOML file each, read strictly."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hlsgen.boards.board import CORE_MHZ, Board, Port, Resources
from hlsgen.boards.families import FAMILIES, FIX, WHY, Family
from hlsgen.boards.rules import ARRAY, NAME, TITLE, WORD, Rule, integer, number, one_of, places
from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.machine.format.parameters import BUS_BYTES, MachineParameters

LARGEST = 64 * 1024
"""Bytes of a board file."""
MOST = 10**8
"""Blocks of a kind that a part may have."""
TEXTS = {"title": TITLE, "part": NAME}
"""Texts that each board file has at its top, beside the family."""
TABLES: Mapping[str, Mapping[str, Rule]] = {
    "resources": dict.fromkeys(("lut", "ff", "dsp", "ram_blocks"), integer(0, MOST)),
    "memory": {"image": one_of("on_chip", "external"), "bus_bytes": one_of(*BUS_BYTES)},
    "defaults": {"array": ARRAY, "core_mhz": number(*CORE_MHZ), "usable_dsp": number(0.01, 1.0)},
}
"""Tables that each board file has: key and what its value may be."""
SITES: Mapping[str, Rule] = dict.fromkeys(("columns", "multiplier_rows", "ram_rows"), places(MOST))
"""The table of a family whose blocks lie in groups."""


def known_boards() -> tuple[str, ...]:
    """Names of the shipped boards and parts."""
    names = (item.name for item in files("hlsgen.boards").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_board(name: str) -> Board:
    """A shipped board by name, or one of the user's by the path of its TOML file.

    Raises `UsageError` with the known names, or with everything that is wrong in the file.
    """
    known = known_boards()
    lowered = name.lower()
    if lowered in known:
        return parse_board(lowered, files("hlsgen.boards").joinpath(f"{lowered}.toml").read_text("utf-8"))
    path = Path(name)
    if path.suffix == ".toml":
        return parse_board(path.stem, _text(path))
    near = difflib.get_close_matches(lowered, known, n=1, cutoff=0.4)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        Problem(
            f"board must be one of {', '.join(known)}, or the path of a TOML file, not {shown(name)}",
            fix=f"{meant}see `hlsgen/boards/*.toml` for how a board is described",
        ),
        code=Code.BOARD,
    )


def _text(path: Path) -> str:
    """What a board file holds."""
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            size = path.stat().st_size
            raise UsageError(
                f"board file {path} must be at most {LARGEST} bytes, not {size}", code=Code.BOARD
            )
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"board file {path} must be UTF-8 text: byte {error.start} is not", code=Code.BOARD
        ) from None
    except OSError as error:
        raise UsageError(f"board file {path}: {error.strerror or error}", code=Code.BOARD) from None
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"board file {shown(str(path))}: {error}", code=Code.BOARD) from None


def parse_board(name: str, text: str) -> Board:
    """A board from TOML text; raises `UsageError` with all problems at once.

    Of the name, which becomes a folder's, only letters, digits and _.- are kept.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:64] or "board"
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"board {name}: not TOML of a board: nested too deeply", code=Code.BOARD) from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise UsageError(f"board {name}: not TOML: {error}", code=Code.BOARD) from None
    return _Reader(name, table).board()


class _Reader:
    """Takes a TOML table apart and collects what is wrong."""

    def __init__(self, name: str, table: dict[str, Any]) -> None:
        self._name, self._table = name, dict(table)
        self._problems: list[Problem] = []

    def board(self) -> Board:
        family = self._family()
        values: dict[str, Any] = {"name": self._name, "family": family}
        values |= {key: self._take(self._table, "", key, rule) for key, rule in TEXTS.items()}
        values["options"] = self._options(family)
        tables = {name: self._values(name, rules) for name, rules in TABLES.items()}
        resources = Resources(**tables["resources"])
        ports = self._ports()
        values |= tables["memory"] | tables["defaults"] | {"resources": resources, "ports": ports}
        values["array"] = self._array(tables["defaults"]["array"])
        clock = {"port": one_of(*ports, text="a key of [ports]"), "mhz": number(*CORE_MHZ)}
        found = self._values("clock", clock, required=False)
        values |= {f"clock_{key}": value for key, value in found.items()}
        if family and family.site_group:
            values |= self._sites(family.site_group, resources)
        self._unknown("", self._table)
        if self._problems:
            raise UsageError(self._problems, code=Code.BOARD)
        return Board(**values)

    def _problem(self, what: str, why: str = "", fix: str = "") -> None:
        self._problems.append(Problem(f"board {self._name}: {what}", why=why, fix=fix))

    def _complain(self, key: str, rule: str, value: object, why: str = "", fix: str = "") -> None:
        missing = f"{key} is missing: it must be {rule}"
        self._problem(missing if value is None else f"{key} must be {rule}, not {shown(value)}", why, fix)

    def _unknown(self, section: str, rest: Mapping[str, Any]) -> None:
        for key in rest:
            self._problem(f"unknown key {section}{_key(key)}")

    def _take(self, table: dict[str, Any], section: str, key: str, rule: Rule, required: bool = True) -> Any:
        """A value of a table; one that is not required may be an empty text."""
        value = table.pop(key, None if required else "")
        if value == "" and not required:
            return ""
        if rule.legal(value):
            return rule.make(value)
        self._complain(f"{section}{key}", rule.text, value)
        return rule.otherwise

    def _section(self, key: str, required: bool = False) -> dict[str, Any]:
        value = self._table.pop(key, None)
        if isinstance(value, dict):
            return dict(value)
        if required or value is not None:
            self._complain(key, "a table", value)
        return {}

    def _values(self, name: str, rules: Mapping[str, Rule], required: bool = True) -> dict[str, Any]:
        """The values of a table; nothing of one that may be left out, and is."""
        table = self._section(name, required)
        if not table and not required:
            return {}
        values = {key: self._take(table, f"{name}.", key, rule) for key, rule in rules.items()}
        self._unknown(f"{name}.", table)
        return values

    def _family(self) -> Family | None:
        name = self._table.pop("family", None)
        if isinstance(name, str) and name in FAMILIES:
            return FAMILIES[name]
        self._complain("family", f"one of {', '.join(FAMILIES)}", name, WHY, FIX)
        return None

    def _options(self, family: Family | None) -> dict[str, Any]:
        """What the tools are told. Of an unknown family nobody knows what that is."""
        if family is None:
            for key in ["sites", *(key for known in FAMILIES.values() for key in known.keys)]:
                self._table.pop(key, None)
            return {}
        return {
            key: self._take(self._table, "", key, rule, key not in family.optional)
            for key, rule in family.keys.items()
        }

    def _array(self, text: str) -> tuple[int, int, int]:
        rows, columns, depth = map(int, text.split("x"))
        try:
            MachineParameters(rows=rows, columns=columns, depth=depth)
        except UsageError as error:
            for problem in error.problems:
                self._problem(f"defaults.array: {problem.what}")
        return rows, columns, depth

    def _sites(self, group: int, resources: Resources) -> dict[str, tuple[int, ...]]:
        found = self._values("sites", SITES, required=False)
        columns = found.pop("columns", ())
        for key, blocks in (("multiplier_rows", resources.dsp), ("ram_rows", resources.ram_blocks)):
            rows = found.get(key, ())
            if columns and rows and group * len(columns) * len(rows) != blocks:
                self._complain(f"sites.{key}", f"such that {group} x columns x rows = {blocks}", list(rows))
        return {"block_columns": columns} | found

    def _attributes(self, where: str, table: dict[str, Any]) -> dict[str, str]:
        for key, value in table.items():
            if not WORD.legal(key) or not WORD.legal(value):
                self._complain(f"{where}.{_key(key)}", WORD.text, value)
        return {key: str(value) for key, value in table.items()}

    def _ports(self) -> dict[str, Port]:
        attributes = self._attributes("port_attributes", self._section("port_attributes"))
        ports: dict[str, Port] = {}
        taken: dict[str, str] = {}
        for name, entry in self._section("ports").items():
            if not WORD.legal(name) or not isinstance(entry, dict):
                rule = 'a table { pins = "...", direction = "in" or "out" }'
                self._complain(f"ports.{_key(name)}", rule, entry)
                continue
            ports[name] = port = self._port(name, dict(entry), attributes)
            for pin in port.pins:
                if taken.setdefault(pin, name) != name:
                    self._problem(f"pin {pin} belongs to {taken[pin]} and to {name}")
        return ports

    def _port(self, name: str, entry: dict[str, Any], attributes: Mapping[str, str]) -> Port:
        text = entry.pop("pins", None)
        pins = tuple(text.split()) if isinstance(text, str) else ()
        if not pins or not all(map(WORD.legal, pins)):
            self._complain(f"ports.{name}.pins", "pin names with spaces between them", text)
        direction = self._take(entry, f"ports.{name}.", "direction", one_of("in", "out"))
        own = self._attributes(f"ports.{name}", entry)
        return Port(pins=pins, direction=direction, attributes={**attributes, **own})


def _key(key: str) -> str:
    """A key of the file for a message: as it is where it is a word."""
    return key if WORD.legal(key) else shown(key)
