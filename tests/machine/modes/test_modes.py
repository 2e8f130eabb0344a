# SPDX-License-Identifier: Apache-2.0
"""Modes: each is whole, and reads the same fields of a command in NumPy and in C++."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from support.graphs import DIGITS, TINY, Vit, integer_vit

from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import FIELD_BITS, Command, Drain, Load, Product, Target
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes import table
from hlsgen.machine.modes.mode import Mode, Unit

ROOT = Path(__file__).resolve().parents[3]
MODES = ROOT / "hlsgen/machine/modes"
HLS = ROOT / "templates/hls"
HELPERS = {name: MODES / f"{name}.py" for name in ("memories", "queues", "workspace")}
"""What modes have in common: the memories, which read fields in their behalf."""

PARAMETERS = MachineParameters(rows=2, columns=4, depth=4)
ALL = [mode for modes in table.STAGES.values() for mode in modes]
OWN_HEADER = [unit for unit in table.UNITS.values() if unit.name == unit.cpp]


def _label(item: Any) -> str:
    return f"{type(item.code).__name__}-{item.name}" if isinstance(item, Mode) else item.name


def _reads(path: Path, holder: str = "command") -> set[str]:
    """Fields that a Python file reads of a command."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == holder
    }
    return names & FIELD_BITS.keys()


def _members(name: str) -> set[str]:
    """Members that a C++ header reads of a command."""
    return set(re.findall(r"\bcommand\.(\w+)", (HLS / name).read_text())) & FIELD_BITS.keys()


def _included(name: str) -> list[str]:
    """The headers that a C++ header includes."""
    return [
        header
        for header in re.findall(r'#include "(\w+\.hpp)"', (HLS / name).read_text())
        if (HLS / header).is_file()
    ]


def _imported(path: Path) -> list[Path]:
    """The mode files that a mode's file takes units from."""
    found = [
        MODES / f"{node.module.rpartition('.')[2]}.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and ".modes." in node.module
    ]
    return [file for file in found if re.match(r"(load|product|drain|target)_", file.stem)]


@pytest.mark.parametrize("codes", [Load, Product, Drain, Target])
def test_every_code_has_one_mode(codes: type[Load]) -> None:
    modes = table.STAGES[codes.__name__.lower()]
    assert [mode.code for mode in modes] == list(codes)
    for fewer in (modes[1:], (*modes[1:], modes[1])):
        with pytest.raises(TypeError, match=f"{codes.__name__}: every code must have one mode"):
            table._by_code(codes, fewer)


@pytest.mark.parametrize("mode", ALL, ids=_label)
def test_a_mode_reads_the_fields_that_it_states(mode: Mode[Any]) -> None:
    """Its file no other ones; and each of them there, in a file of its units, or in the memories."""
    module = type(mode).__module__
    path = MODES / f"{module.rpartition('.')[2]}.py"
    assert _reads(path) <= {name for each in ALL if type(each).__module__ == module for name in each.reads}
    files = (path, *_imported(path), *HELPERS.values())
    inherited = _reads(ROOT / "hlsgen/machine/format/commands.py", "self")  # `Command.tile_rows` and others
    assert mode.reads - inherited <= {name for file in files for name in _reads(file)}


@pytest.mark.parametrize("unit", table.UNITS.values(), ids=_label)
def test_a_unit_reads_fields_that_exist(unit: Unit) -> None:
    assert set(unit.reads) <= FIELD_BITS.keys()
    assert len(set(unit.reads)) == len(unit.reads)


@pytest.mark.parametrize("unit", OWN_HEADER, ids=_label)
def test_the_cpp_reads_the_same_fields(unit: Unit) -> None:
    """LOAD counts the words of a row for those of its modes that have no number of their own.

    Addresses that several modes share stand in a header that theirs include.
    """
    found = _members(f"{unit.cpp}.hpp")
    assert found <= set(unit.reads)
    shared = {name for header in _included(f"{unit.cpp}.hpp") for name in _members(header)}
    assert set(unit.reads) - found <= {"k_words"} & _members("load.hpp") | shared


@pytest.mark.parametrize("unit", table.UNITS.values(), ids=_label)
def test_a_unit_is_in_all_three(unit: Unit) -> None:
    assert f'name="{unit.name}"' in "".join(path.read_text() for path in MODES.glob("*.py"))
    assert f"{unit.cpp}<P>(" in "".join(path.read_text() for path in HLS.glob("*.hpp"))
    assert (ROOT / "rtl" / f"{unit.rtl}.py").is_file()


@pytest.mark.parametrize("vit", [DIGITS, TINY], ids=["digits", "tiny"])
@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
def test_steps_are_those_of_the_jobs(vit: Vit, streamed: bool) -> None:
    array = ArrayShape(rows=2, columns=4, depth=4, ring_bytes=2048, streamed=streamed)
    for command in lower(integer_vit(vit), array).program.commands:
        product = table.PRODUCTS[command.product]
        jobs = list(product.jobs(PARAMETERS, command))
        assert product.steps(command) == sum(job.blocks * job.steps for job in jobs)
        assert sum(product.is_final(command, job) for job in jobs) == command.tiles


def test_scores_run_one_job_ahead_of_contexts() -> None:
    sizes: dict[str, Any] = {"heads": 2, "tiles": 2, "blocks": 3, "head_words": 1}
    sizes |= {"k_steps": 5, "exp_steps": 4}
    jobs = list(table.jobs(PARAMETERS, Command(product=Product.ATTENTION, **sizes)))
    order = " ".join(f"{job.kind.name[0]}{job.head}{job.tile}" for job in jobs)
    assert order == "S00 S01 C00 S10 C01 S11 C10 C11"
    assert {job.kind: (job.blocks, job.steps) for job in jobs} == {Kind.SCORES: (3, 5), Kind.CONTEXT: (1, 4)}
    slots = [job.slot for job in jobs if job.kind == Kind.SCORES]
    assert slots == [job.slot for job in jobs if job.kind == Kind.CONTEXT] == [0, 1, 0, 1]


def test_scores_run_as_far_ahead_as_there_are_score_tiles() -> None:
    parameters = MachineParameters(rows=2, columns=4, depth=4, score_slots=3, tile_slots=4)
    jobs = list(table.jobs(parameters, Command(product=Product.ATTENTION, heads=5, tiles=1)))
    assert " ".join(f"{job.kind.name[0]}{job.head}" for job in jobs) == "S0 S1 S2 C0 S3 C1 S4 C2 C3 C4"
    assert [job.slot for job in jobs if job.kind == Kind.CONTEXT] == [0, 1, 2, 0, 1]


def test_weights_are_read_once_for_all_tiles() -> None:
    command = Command(sweeps=2, blocks=2, extra=1, tiles=3, k_steps=7)
    jobs = list(table.jobs(PARAMETERS, command))
    sweeps = groupby(jobs, lambda job: job.first_block)
    assert [(first, [job.tile for job in same]) for first, same in sweeps] == [(0, [0, 1, 2]), (3, [0, 1, 2])]
    assert [job.blocks for job in jobs] == [3, 3, 3, 2, 2, 2]


def test_keys_that_do_not_exist_do_not_count() -> None:
    assert [bool(Command(keys=2).counts(key)) for key in range(4)] == [True, True, False, False]
