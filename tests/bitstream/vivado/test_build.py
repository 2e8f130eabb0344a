# SPDX-License-Identifier: Apache-2.0
"""Building a Vivado project through its Makefile, with a stand-in for Vivado."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.graphs import TINY, integer_vit

from hlsgen.bitstream.vivado.build import build_vivado
from hlsgen.boards import load_board
from hlsgen.emit.vivado.project import Vectors, vivado_project
from hlsgen.errors import ToolFailed, ToolMissing, UsageError
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape

MOCKS = Path(__file__).parents[2] / "mock_tools"
needs_tcl = pytest.mark.skipif(
    shutil.which("tclsh") is None or shutil.which("make") is None, reason="needs tclsh and make"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIVADO", str(MOCKS / "vivado"))
    graph = integer_vit(TINY)
    lowered = lower(graph, ArrayShape(rows=2, columns=4, depth=2, bus_bytes=8))
    top = (MOCKS / "top.v").read_text().splitlines(keepends=True)
    files = vivado_project(
        load_board("zcu102"),
        "".join(line for line in top if "trace_" not in line),
        graph,
        lowered.program,
        lowered.image,
        vectors=Vectors(images=np.zeros((1, 1, 2, 2)), outputs=np.zeros((1, 2))),
        name="digits",
    )
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data if isinstance(data, bytes) else data.encode())
    return tmp_path / "vivado"


@needs_tcl
def test_the_report_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_SLACK", "0.5")
    built = build_vivado(project)
    assert built.path == project / "build/digits.bit"
    assert built.used == {
        "LUT": (51234, 274080), "FF": (40321, 548160), "RAM tiles": (41, 912), "DSP": (1040, 2520),
    }  # fmt: skip
    assert "clock pl_clk0: 352.9 MHz, 300.0 MHz wanted" in str(built)
    assert built.data["used"]["DSP"] == (1040, 2520)


@needs_tcl
def test_failures_carry_vivados_last_lines(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_SLACK", "-0.5")
    with pytest.raises(ToolFailed, match=r"timing must be met at 300 MHz: the worst slack is -0\.5 ns"):
        build_vivado(project)
    monkeypatch.setenv("VIVADO", str(MOCKS / "absent"))
    with pytest.raises(ToolMissing, match="absent not found"):
        build_vivado(project)


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be an exported Vivado project: it has no project\.tcl"):
        build_vivado(tmp_path)
