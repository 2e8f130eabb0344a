# SPDX-License-Identifier: Apache-2.0
"""Commands that only move data, by name, with the op that they are there for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.graphs import DIGITS, integer_vit
from support.page import cells, dom
from support.token_graphs import integers

from hlsgen.design import Design
from hlsgen.ir import GraphBuilder, TensorType
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.program import Program
from hlsgen.ops import IntegerAddConstant, IntegerCast, Patches, Select
from hlsgen.ops.exact import identity
from hlsgen.pipeline import compile as compile_graph
from hlsgen.report.moves import MOST_LINES, move_lines, move_rows

ARRAY = ArrayShape(rows=4, columns=4, depth=4)


@pytest.fixture(scope="module")
def design() -> Design:
    return compile_graph(integers("linear_attention", 5, 16, 2)[0], board="kv260", array="4x4x4")


def test_each_has_a_name_a_cause_and_cycles(design: Design) -> None:
    report = design.report()
    found = {row["name"]: (row["kind"], row["moved"], row["reader"]) for row in report.data["moves"]}
    assert found["transpose"] == ("transpose", "activation_copy", ["transpose_copy"])
    assert found["activation_copy"] == ("copy", "activation", ["transpose"])
    assert found["identity_8"] == ("constant", "", ["transpose"])
    rows = move_rows(design.program, report.prediction)
    assert all(0 < row["cycles"] < report.prediction.cycles for row in rows)
    lines = move_lines(design.program, report.prediction)
    total = sum(row["cycles"] for row in rows)
    assert lines[0].startswith(f"moves      {len(rows)} commands that only move data, {total} cycles, ")
    assert len(lines) == 1 + min(len(rows), MOST_LINES)
    assert set(lines) <= set(report.summary.splitlines())


def test_a_model_without_moves_has_no_word_of_them() -> None:
    design = compile_graph(integer_vit(DIGITS), board="kv260", array="4x4x8")
    assert design.program.moves == ()
    assert "move" not in str(design.program)
    assert "moves" not in design.report().data
    assert move_lines(design.program, design.report().prediction) == []


def test_the_page_has_a_table(design: Design, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text(design.report().html(), "utf-8")
    rows = cells(dom(place), "moves")
    assert ["transpose", "transpose", "activation_copy", "transpose_copy"] in [row[:4] for row in rows]


def test_every_kind_is_named() -> None:
    g = GraphBuilder("image", TensorType((1, 4, 4), -128, 127, 1.0))
    p = g.add("patches", Patches(patch=(2, 2)), ["image"])
    wide = dataclasses.replace(identity(g.type_of(p)), low=-(1 << 15), high=(1 << 15) - 1)
    x = g.add("x", dataclasses.replace(wide, weight=np.arange(16).reshape(4, 4)), [p])
    s = g.add("s", IntegerAddConstant(value=np.ones((4, 4), np.int64)), [x])
    cast = g.add("cast", IntegerCast(epsilon=1 << 46, gain=1 << 14, gain_shift=1), [s])
    rows = g.add("rows", Select(start=0, stop=2), [s])
    shifted = g.add("shifted", IntegerAddConstant(value=np.ones((4, 4), np.int64)), [cast])
    program = lower(g.finish(cast, rows, shifted, s, names=["a", "b", "c", "d"]), ARRAY).program
    found = {move.tensor: (move.kind, move.moved, move.reader) for move in program.moves}
    assert found == {
        "cast": ("cast", "s_inner", "output"),
        "rows": ("copy", "s_inner", "output"),
        "s": ("copy", "s_inner", "output"),
        "shifted": ("cast+addition", "s_inner", "output"),
    }
    assert Program.parse(str(program)) == program
