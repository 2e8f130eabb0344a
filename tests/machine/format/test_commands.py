# SPDX-License-Identifier: Apache-2.0
"""Commands: bytes and text come back; every field has a reader in each execution that has it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hlsgen.cli.command_table import page
from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS, PLACES, Command, Depends, Load, Target
from hlsgen.machine.format.fields import Field

ROOT = Path(__file__).resolve().parents[3]
INTERPRETER = ("hlsgen/machine/run", "hlsgen/machine/modes", "hlsgen/machine/format/commands.py")
CPP = ("templates/hls",)
RTL = ("rtl",)
HOLDERS = frozenset({"command", "job", "config", "self"})
"""What has a command's fields: the command, a stage's job, what a stage keeps of it, a component's ports."""


def _files(places: tuple[str, ...], suffix: str) -> list[Path]:
    found = [path for place in places for path in (ROOT / place, *(ROOT / place).rglob(f"*{suffix}"))]
    return [path for path in found if path.is_file() and "rtl/format" not in str(path)]


def _attributes(places: tuple[str, ...]) -> set[str]:
    """Attributes that Python files read of a command, or of what has some of its fields."""
    nodes = (node for path in _files(places, ".py") for node in ast.walk(ast.parse(path.read_text())))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and _name(node.value) in HOLDERS}


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _members() -> set[str]:
    """Members that the C++ reads of a command."""
    text = "".join(path.read_text() for path in _files(CPP, ".hpp"))
    return set(re.findall(r"\bcommand\.(\w+)", text))


def unread(fields: tuple[Field, ...]) -> list[str]:
    """Fields that an execution has and does not read."""
    interpreter, rtl, cpp = _attributes(INTERPRETER), _attributes(RTL), _members()
    missing = [f"{item.name}: RTL" for item in fields if item.name not in rtl]
    stated = [item.name for item in fields if not item.orders]
    missing += [f"{name}: interpreter" for name in stated if name not in interpreter]
    return missing + [f"{name}: C++" for name in stated if name not in cpp]


def test_every_field_has_a_reader_in_every_execution() -> None:
    assert unread(FIELDS) == []


def test_a_field_that_nothing_reads_is_found() -> None:
    """`head_steps` once stood in every Image."""
    lost = Field(name="head_steps", bits=16, default=0, meaning="steps of a head")
    assert unread((lost,)) == ["head_steps: RTL", "head_steps: interpreter", "head_steps: C++"]
    order = Field(name="head_steps", bits=16, default=0, meaning="steps of a head", orders=True)
    assert unread((order,)) == ["head_steps: RTL"]


def test_the_fields_fit_a_command() -> None:
    assert max(PLACES[item.name] + item.bits for item in FIELDS) <= 8 * COMMAND_BYTES
    assert len(Command().pack()) == COMMAND_BYTES


def _bearing(item: Field) -> dict[str, Load]:
    """What a command must have so that it has the field's bits."""
    return {"load": Load(item.loads[0])} if item.within else {}


@pytest.mark.parametrize("which", [0, 1], ids=["least", "largest"])
def test_bytes_and_text_come_back(which: int) -> None:
    for item in FIELDS:
        values = [max(item.enum), min(item.enum)] if item.enum else item.range
        command = Command(**_bearing(item), **{item.name: values[which]})  # type: ignore[arg-type]
        assert Command.unpack(command.pack()) == command
        assert Command.parse(str(command)) == command


def test_each_field_has_bits_of_its_own_but_those_that_say_otherwise() -> None:
    position = 0
    for item in FIELDS:
        one, load = item.enum(1) if item.enum else 1, _bearing(item)
        word = int.from_bytes(Command(**load, **{item.name: one}).pack(), "little")  # type: ignore[arg-type]
        rest = int.from_bytes(Command(**load, **{item.name: 0}).pack(), "little")  # type: ignore[arg-type]
        assert word ^ rest == 1 << (PLACES[item.within] if item.within else position)
        position += 0 if item.within else item.bits


@pytest.mark.parametrize("load", Load)
@pytest.mark.parametrize(
    ("guest", "host", "loads"),
    [
        ("norm_shift_base", "logit_multiplier", (Load.LAYER_NORM, Load.POOL_NORM)),
        ("high_digits", "pool_shift", (Load.ATTENTION,)),
    ],
)
def test_bits_of_two_fields_are_those_of_one_in_each_command(
    guest: str, host: str, loads: tuple[Load, ...], load: Load
) -> None:
    mine, other = (guest, host) if load in loads else (host, guest)
    command = Command(load=load, **{mine: 1})  # type: ignore[arg-type]
    assert Command.unpack(command.pack()) == command
    with pytest.raises(UsageError) as caught:
        Command(load=load, **{other: 1})  # type: ignore[arg-type]
    name = load.name.lower()
    assert caught.value.problems[0].what == f"command field {other} must be 0 with load={name}, not 1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tail_rows": 256}, "command field tail_rows must be in 0..255, not 256"),
        ({"low": -(1 << 15) - 1}, "command field low must be in -32768..32767, not -32769"),
    ],
)
def test_a_value_without_room_is_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Command(**fields)  # type: ignore[arg-type]
    assert caught.value.problems[0].what == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head_steps=1", "command text: 'head_steps=1' must be FIELD=VALUE"),
        ("tiles", "command text: 'tiles' must be FIELD=VALUE"),
        ("load=sideways", "command text: load can't be 'sideways'"),
        ("tiles=many", "command text: tiles can't be 'many'"),
    ],
)
def test_a_text_that_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Command.parse(text)
    assert caught.value.problems[0].what == message


def test_a_text_names_what_is_set() -> None:
    command = Command(load=Load.POOL, target=Target.OUTPUT, depends=Depends.TILE, low=-5, last=1)
    assert str(command) == (
        "load=pool product=weights drain=requantize target=output last=1 depends=tile low=-5"
    )


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs/commands.md").read_text() == page(), "make table writes it"
