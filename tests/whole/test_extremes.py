# SPDX-License-Identifier: Apache-2.0
"""The smallest and the largest arrays, whole: interpreter, C++, cycle model; the smallest one in RTL, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.graphs import AWKWARD, integer_vit

from hlsgen.design import Design
from hlsgen.emit.contents import save
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.phases import steps_of
from hlsgen.pipeline import compile as compile_graph


def compiled(array: str, row_width: int = 1) -> Design:
    return compile_graph(integer_vit(AWKWARD), board="zcu102", array=array, row_width=row_width)


def not_asked_for(*_: object) -> str:
    """Stands in for the Verilog, which takes most of the time of a large array's folder."""
    return ""


@pytest.mark.parametrize(
    ("array", "row_width"),
    [
        ("1x1x1", 1),
        ("16x16x8", 1),
        ("16x16x8", 2),
        ("16x16x8", 4),
        ("16x1x1", 1),
        ("1x16x1", 1),
        ("1x1x8", 1),
    ],
)
def test_an_array_at_the_edge_computes_the_same(array: str, row_width: int, tmp_path: Path) -> None:
    """The awkward model fills none of them."""
    design = save(compiled(array, row_width), tmp_path / "build", rtl=not_asked_for)
    results = [design.simulate(level, samples=2) for level in ("program", "csim")]
    assert results[0].elements == results[1].elements > 0
    prediction = predict(design.program, design.image)
    assert prediction.multiply == sum(map(steps_of, design.program.commands))
    assert design.program.macs <= prediction.multiply * design.program.parameters.lanes
    assert prediction.multiply < prediction.cycles


def test_the_smallest_array_in_rtl(tmp_path: Path) -> None:
    design = compiled("1x1x1").save(tmp_path / "build")
    result = design.simulate("rtl", samples=2)
    assert result.elements == design.simulate("program", samples=2).elements
    prediction = predict(design.program, design.image)
    assert result.counters[0]["multiply"] == prediction.multiply
    assert result.cycles == pytest.approx(prediction.cycles, rel=0.02)
