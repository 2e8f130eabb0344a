# SPDX-License-Identifier: Apache-2.0
"""Boards as data: one TOML file each, read strictly."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hlsgen.errors import Problem, UsageError, shown
from hlsgen.machine.format.parameters import BUS_BYTES, MachineParameters

FAMILIES = ("ecp5", "zynqmp")
IMAGE_PLACES = ("on_chip", "external")
GROUP = 4
"""Blocks of an ECP5 that lie together."""
CORE_MHZ = (1.0, 1000.0)
"""Clock of an accelerator, lowest and highest."""
LARGEST = 64 * 1024
"""Bytes of a board file."""
MOST = 10**8
"""Blocks of a kind that a part may have."""
_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True)
class _Rule:
    """What a text may be: one of a list, or what a pattern matches whole, which `text` describes."""

    text: str
    pattern: re.Pattern[str]


def _rule(text: str, pattern: str) -> _Rule:
    return _Rule(text, re.compile(pattern))


def _one_of(*legal: str) -> _Rule:
    return _rule(f"one of {', '.join(legal)}", "|".join(map(re.escape, legal)))


# These reach Makefiles and scripts. None may be empty there, look like an option, or be several words.
_NAME = _rule(
    "a word of letters, digits and _.-, not beginning with a sign", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
)
_TITLE = _rule(
    "text of letters, digits and _.:() /+-, not beginning with a sign",
    r"[A-Za-z0-9][A-Za-z0-9_.:() /+-]{0,99}",
)
_TEXTS = {
    "ecp5": {
        "part": _NAME,
        "device": _one_of(
            "12k", "25k", "45k", "85k", "um-25k", "um-45k", "um-85k", "um5g-25k", "um5g-45k", "um5g-85k"
        ),
        "package": _one_of("CABGA256", "CABGA381", "CABGA554", "CABGA756", "CSFBGA285", "TQFP144"),
        "speed_grade": _one_of("6", "7", "8"),
        "programmer": _NAME,
        "board_part": _NAME,
    },
    "zynqmp": {
        "part": _NAME,
        "device": _NAME,
        "package": _NAME,
        "speed_grade": _rule("a speed grade like -2 or -2LV", r"-[123][A-Z]{0,3}"),
        "programmer": _NAME,
        "board_part": _rule(
            "VENDOR:BOARD:PART", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}){2}"
        ),
    },
}
"""Of each family, what its tools take."""
_OPTIONAL = {"ecp5": ("programmer", "board_part"), "zynqmp": ("device", "programmer", "board_part")}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the part has; RAM blocks count 18 kbit each."""

    lut: int
    ff: int
    dsp: int
    ram_blocks: int


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the board top: its pins from bit 0 upwards, and their electrical attributes."""

    pins: tuple[str, ...]
    direction: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, or a bare part (no ports)."""

    name: str
    title: str
    family: str
    part: str
    package: str
    speed_grade: str
    resources: Resources
    image: str
    """`on_chip`: the Image is a ROM in block RAM; `external`: in memory behind the AXI master."""
    bus_bytes: int
    array: tuple[int, int, int]
    """Default rows, columns, depth."""
    core_mhz: float
    usable_dsp: float
    """Share of the DSP blocks that a design should use at most."""
    device: str = ""
    programmer: str = ""
    board_part: str = ""
    clock_port: str = ""
    clock_mhz: float = 0.0
    ports: Mapping[str, Port] = field(default_factory=dict)
    block_columns: tuple[int, ...] = ()
    """Where the part has blocks of multipliers and RAM: X of every group of four; empty if it isn't known."""
    multiplier_rows: tuple[int, ...] = ()
    """Y of its rows of multiplier blocks, the ones to fill first before others."""
    ram_rows: tuple[int, ...] = ()
    """The same for RAM blocks."""

    def with_clock(self, mhz: float | None) -> Board:
        """The board with another clock for the accelerator; None leaves it. Raises `UsageError`."""
        low, high = CORE_MHZ
        if mhz is not None and not low <= mhz <= high:
            raise UsageError(f"clock must be in {low:g}..{high:g} MHz, not {mhz:g}")
        return self if mhz is None else dataclasses.replace(self, core_mhz=mhz)

    @property
    def has_pins(self) -> bool:
        """Whether a bitstream project can be made: Zynq parts need no pins, others a clock at least."""
        return self.family == "zynqmp" or self.clock_port in self.ports

    @property
    def rtl_target(self) -> str:
        """What the build folder's RTL is made for: plain Verilog that any simulator runs."""
        return "xilinx" if self.family == "zynqmp" else "generic"

    @property
    def default_array(self) -> str:
        """The default array as RxCxD."""
        return "x".join(map(str, self.array))


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
        )
    )


def _text(path: Path) -> str:
    """What a board file holds."""
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            size = path.stat().st_size
            raise UsageError(f"board file {path} must be at most {LARGEST} bytes, not {size}")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"board file {path} must be UTF-8 text: byte {error.start} is not") from None
    except OSError as error:
        raise UsageError(f"board file {path}: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"board file {shown(str(path))}: {error}") from None


def parse_board(name: str, text: str) -> Board:
    """A board from TOML text; raises `UsageError` with all problems at once.

    Of the name, which becomes a folder's, only letters, digits and _.- are kept.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:64] or "board"
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"board {name}: not TOML of a board: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise UsageError(f"board {name}: not TOML: {error}") from None
    return _Reader(name, table).board()


class _Reader:
    """Takes a TOML table apart and collects what is wrong."""

    def __init__(self, name: str, table: dict[str, Any]) -> None:
        self._name, self._table = name, dict(table)
        self._problems: list[Problem] = []

    def board(self) -> Board:
        resources = self._section("resources")
        memory, defaults = self._section("memory"), self._section("defaults")
        clock = self._section("clock", required=False)
        sites = self._section("sites", required=False)
        attributes = self._attributes("port_attributes", self._section("port_attributes", required=False))
        ports = self._ports(self._section("ports", required=False), attributes)
        top = self._table
        known = top.get("family") in FAMILIES
        family = self._choice(top, "family", FAMILIES)
        values: dict[str, Any] = {
            "name": self._name,
            "title": self._text(top, "title", _TITLE),
            "family": family,
            "resources": Resources(
                **{key: self._count(resources, key) for key in ("lut", "ff", "dsp", "ram_blocks")}
            ),
            "image": self._choice(memory, "image", IMAGE_PLACES),
            "bus_bytes": self._choice(memory, "bus_bytes", BUS_BYTES),
            "array": self._array(defaults),
            "core_mhz": self._real(defaults, "core_mhz", *CORE_MHZ),
            "usable_dsp": self._real(defaults, "usable_dsp", 0.01, 1.0),
            "ports": ports,
        }
        for key, rule in _TEXTS[family].items():
            if known:
                values[key] = self._text(top, key, rule, required=key not in _OPTIONAL[family])
            else:
                top.pop(key, None)
        if sites:
            values |= self._sites(sites, values["resources"])
        if clock:
            values["clock_port"] = self._choice(clock, "port", tuple(ports), "a key of [ports]", "clock.")
            values["clock_mhz"] = self._real(clock, "mhz", 1.0, 1000.0)
        for section, rest in (
            ("", top), ("resources.", resources), ("memory.", memory),
            ("defaults.", defaults), ("clock.", clock), ("sites.", sites),
        ):  # fmt: skip
            self._problems += [
                Problem(f"board {self._name}: unknown key {section}{_key(key)}") for key in rest
            ]
        if self._problems:
            raise UsageError(self._problems)
        return Board(**values)

    def _complain(self, key: str, rule: str, value: object) -> None:
        if value is None:
            self._problems.append(Problem(f"board {self._name}: {key} is missing: it must be {rule}"))
        else:
            self._problems.append(Problem(f"board {self._name}: {key} must be {rule}, not {shown(value)}"))

    def _section(self, key: str, required: bool = True) -> dict[str, Any]:
        value = self._table.pop(key, None)
        if isinstance(value, dict):
            return dict(value)
        if required or value is not None:
            self._complain(key, "a table", value)
        return {}

    def _text(self, table: dict[str, Any], key: str, rule: _Rule, required: bool = True) -> str:
        """A text of the table; one that is not required may be empty."""
        value = table.pop(key, None if required else "")
        if value == "" and not required:
            return ""
        if not isinstance(value, str) or not rule.pattern.fullmatch(value):
            self._complain(key, rule.text, value)
            return ""
        return value

    def _choice(
        self, table: dict[str, Any], key: str, legal: tuple[Any, ...], rule: str = "", section: str = ""
    ) -> Any:
        value = table.pop(key, None)
        if not any(type(value) is type(item) and value == item for item in legal):
            self._complain(f"{section}{key}", rule or f"one of {', '.join(map(str, legal))}", value)
            return legal[0] if legal else ""
        return value

    def _count(self, table: dict[str, Any], key: str) -> int:
        value = table.pop(key, None)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
            self._complain(f"resources.{key}", f"an integer in 0..{MOST}", value)
            return 0
        return value

    def _real(self, table: dict[str, Any], key: str, low: float, high: float) -> float:
        value = table.pop(key, None)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            self._complain(key, f"a number in {low:g}..{high:g}", value)
            return low
        return float(value)

    def _array(self, table: dict[str, Any]) -> tuple[int, int, int]:
        value = table.pop("array", None)
        match = (
            re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})", value) if isinstance(value, str) else None
        )
        if match is None:
            self._complain("defaults.array", "ROWSxCOLUMNSxDEPTH", value)
            return 1, 1, 1
        rows, columns, depth = map(int, match.groups())
        try:
            MachineParameters(rows=rows, columns=columns, depth=depth)
        except UsageError as error:
            where = f"board {self._name}: defaults.array"
            self._problems += [Problem(f"{where}: {problem.what}") for problem in error.problems]
        return rows, columns, depth

    def _sites(self, table: dict[str, Any], resources: Resources) -> dict[str, tuple[int, ...]]:
        columns = self._places(table, "columns")
        found = {"block_columns": columns}
        for key, blocks in (("multiplier_rows", resources.dsp), ("ram_rows", resources.ram_blocks)):
            rows = found[key] = self._places(table, key)
            if columns and rows and GROUP * len(columns) * len(rows) != blocks:
                rule = f"such that {GROUP} x columns x rows = {blocks}"
                self._complain(f"sites.{key}", rule, list(rows))
        return found

    def _places(self, table: dict[str, Any], key: str) -> tuple[int, ...]:
        value = table.pop(key, None)
        listed = isinstance(value, list) and all(type(place) is int and 0 <= place <= MOST for place in value)
        if not listed or len(set(value)) != len(value):
            self._complain(f"sites.{key}", "a list of different non-negative integers", value)
            return ()
        return tuple(value)

    def _attributes(self, where: str, table: dict[str, Any]) -> dict[str, str]:
        for key, value in table.items():
            if not _WORD.fullmatch(key) or not isinstance(value, str) or not _WORD.fullmatch(value):
                self._complain(f"{where}.{_key(key)}", "a word of letters, digits and _", value)
        return {key: str(value) for key, value in table.items()}

    def _ports(self, table: dict[str, Any], attributes: dict[str, str]) -> dict[str, Port]:
        ports, taken = {}, {}
        for name, entry in table.items():
            if not _WORD.fullmatch(name) or not isinstance(entry, dict):
                self._complain(
                    f"ports.{_key(name)}", 'a table { pins = "...", direction = "in" or "out" }', entry
                )
                continue
            rest = dict(entry)
            text = rest.pop("pins", None)
            pins = tuple(text.split()) if isinstance(text, str) else ()
            if not pins or not all(_WORD.fullmatch(pin) for pin in pins):
                self._complain(f"ports.{name}.pins", "pin names with spaces between them", text)
            direction = self._choice(rest, "direction", ("in", "out"), section=f"ports.{_key(name)}.")
            for pin in pins:
                if taken.setdefault(pin, name) != name:
                    self._problems.append(
                        Problem(f"board {self._name}: pin {pin} belongs to {taken[pin]} and to {name}")
                    )
            merged = attributes | self._attributes(f"ports.{name}", rest)
            ports[name] = Port(pins=pins, direction=direction, attributes=merged)
        return ports


def _key(key: str) -> str:
    """A key of the file for a message: as it is where it is a word."""
    return key if _WORD.fullmatch(key) else shown(key)
