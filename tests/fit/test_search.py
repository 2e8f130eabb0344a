# SPDX-License-Identifier: Apache-2.0
"""What does not fit is refused with what would; each option that a refusal names is compiled here."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from support.graphs import Vit, integer_vit

from hlsgen.boards.read import load_board
from hlsgen.errors import DoesNotFit, Problem, UnsupportedModel
from hlsgen.fit.search import Search
from hlsgen.fit.settings import Settings
from hlsgen.ir import Graph
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.pipeline import compile as compile_graph


def long(**shape: Any) -> Graph:
    """A model of 1,025 tokens."""
    return integer_vit(Vit(image=(1, 64, 64), blocks=1, **shape))


def refused(graph: Graph, **arguments: Any) -> tuple[Problem, ...]:
    """The problems of a compilation that must be refused within seconds."""
    start = time.process_time()
    with pytest.raises(DoesNotFit) as caught:
        compile_graph(graph, **arguments)
    assert time.process_time() - start < 10
    return caught.value.problems


def follow(graph: Graph, fix: str, **asked: Any) -> list[str]:
    """Compile each option that a fix names; returns them."""
    names = {"--board": "board", "--array": "array", "--attention": "attention", "--ring": "ring_bytes"}
    lines = re.findall(
        r"^    (.*?) \((from )?(\d+) of (\d+) RAM blocks, (\d+) of (\d+) DSP blocks\)$", fix, re.M
    )
    assert lines
    for options, least, *numbers in lines:
        words = options.split()
        changed: dict[str, Any] = {names[a]: b for a, b in zip(words[::2], words[1::2], strict=True)}
        if "ring_bytes" in changed:
            changed["ring_bytes"] = int(changed["ring_bytes"])
        design = compile_graph(graph, **(asked | changed))
        fit = design.report().fit
        have = fit.board.resources
        assert fit.fits
        ram, all_ram, dsp, all_dsp = map(int, numbers)
        assert (all_ram, all_dsp) == (have.ram_blocks, have.dsp)
        if least:  # ring and row width are left open, and may take more
            assert (ram, dsp) <= (fit.ram_blocks, fit.dsp)
        else:
            assert (ram, dsp) == (fit.ram_blocks, fit.dsp)
    return [options for options, *_ in lines]


@pytest.mark.parametrize(
    ("shape", "array", "expected"),
    [
        ({"width": 48, "heads": 12}, "4x8x16", "--array 4x4x8 --attention streamed"),
        ({"width": 64, "heads": 2, "hidden": 128}, "4x1x8", "--board zcu102 --array 4x1x8"),
    ],
)
def test_a_long_sequence_on_a_small_board(shape: dict[str, int], array: str, expected: str) -> None:
    """Ring and row width are given: for 1,025 tokens on one column the cycle model takes seconds."""
    graph = long(**shape)
    asked: dict[str, Any] = {"board": "kv260", "array": array, "ring_bytes": 1 << 18, "row_width": 1}
    problems = refused(graph, attention="resident", **asked)
    assert re.match(r"the memories must need at most 288 RAM blocks .* not \d+$", problems[0].what)
    assert "(from " not in problems[-1].fix  # nothing is open: what is said is what is used
    assert expected in follow(graph, problems[-1].fix, attention="resident", **asked)


def test_multipliers_and_memories_are_named_together() -> None:
    graph = integer_vit(Vit())
    problems = refused(graph, board="ulx3s-85f", array="16x16x8")
    assert problems[0].what == "the 16x16x8 array must need at most 143 DSP blocks on ulx3s-85f, not 1024"
    assert "(from " in problems[-1].fix  # ring and row width are open
    named = follow(graph, problems[-1].fix, board="ulx3s-85f", array="16x16x8")
    assert named[0] == "--array 4x4x16"
    assert "--board zcu102 --array 16x16x8" in named


def test_more_words_than_commands_can_address() -> None:
    """On one column a word is one element."""
    (problem,) = refused(long(width=1100, heads=2, hidden=64), board="zcu102", array="1x1x1")
    assert problem.what == (
        "a tensor's place in the features memory must be at most 1048575 words, not 1127500, on 1 columns"
    )
    assert "use fewer tokens or a narrower model" in problem.fix


def test_a_layer_with_more_outputs_than_blocks_can_be_counted() -> None:
    graph = integer_vit(Vit(blocks=1, classes=70_000))
    problems = refused(graph, board="zcu102", array="4x1x8")
    assert problems[0].what == "a layer must have at most 65535 outputs on 1 columns, not about 70000"
    assert follow(graph, problems[-1].fix, board="zcu102")


def test_where_nothing_fits_the_least_need_is_said() -> None:
    (problem,) = refused(long(width=1024, heads=8), board="zcu102", array="4x4x8")
    assert "use fewer tokens or a narrower model" in problem.fix
    found = re.search(r"alone fill (\d+) RAM blocks, and zcu102, the largest board, has 1824", problem.fix)
    assert found
    assert int(found[1]) > 1824


def test_the_least_need_is_below_every_array_s() -> None:
    graph, board = long(width=32, heads=4), load_board("zcu102")
    search = Search(Sizer(graph), ArrayShape(rows=4, columns=4, depth=8), board, Settings())
    least = search.least_blocks(board)
    for array in ("1x1x1", "4x4x8", "16x16x8", "2x32x4"):
        assert least <= compile_graph(graph, board="zcu102", array=array).report().fit.ram_blocks


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (Vit(width=600, heads=300, blocks=1), "b0_scores: heads must be at most 255, not 300"),
        (Vit(image=(1, 512, 512), patch=(256, 256)), "patches: rows of a patch must be at most 255, not 256"),
        (Vit(prefix=300, blocks=1), "patches: tokens before the patches must be at most 255, not 300"),
    ],
)
def test_what_no_array_can_have_is_a_matter_of_the_model(shape: Vit, what: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        compile_graph(integer_vit(shape), board="zcu102", array="4x4x8")
    assert caught.value.problems[0].what == what
