# SPDX-License-Identifier: Apache-2.0
"""What is left open is chosen by the cycle model: by its rule, within the board, the same each time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from support.graphs import AWKWARD, DIGITS, Vit, integer_vit

from hlsgen.boards.read import load_board
from hlsgen.fit.choice import RING_GAIN, USUAL_RING, WIDTH_GAIN, Choice, Chooser
from hlsgen.fit.estimate import estimate
from hlsgen.fit.settings import RINGS, WIDTHS, Settings
from hlsgen.fit.shorten import KEPT, shorten
from hlsgen.ir import Graph
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.time.cycles import predict
from hlsgen.pipeline import compile as compile_graph

VIT_BASE = Vit(image=(3, 224, 224), patch=(16, 16), width=768, heads=12, hidden=3072, blocks=12, classes=1000)
DEIT_TINY = replace(VIT_BASE, width=192, heads=3, hidden=768)


def chosen(
    graph: Graph, board: str, array: str, settings: Settings | None = None
) -> tuple[Choice, ArrayShape]:
    """The choice for an array, and the machine that the defaults gave before there was one."""
    target, (rows, columns, depth) = load_board(board), map(int, array.split("x"))
    shape = ArrayShape(rows=rows, columns=columns, depth=depth, bus_bytes=target.bus_bytes)
    return Chooser(Sizer(graph), shape, target, settings or Settings()).choose(), shape


def cycles(graph: Graph | Sizer, array: ArrayShape) -> int:
    lowered = graph.outline(array) if isinstance(graph, Sizer) else lower(graph, array)
    return predict(lowered.program, lowered.image, target=load_board("zcu102").family.rtl_target).cycles


def test_vit_base_keeps_its_array_busy() -> None:
    """Nothing is said but board and array; 256 KiB of ring would give 75 %. All 12 layers are equal: 5 do."""
    graph = integer_vit(replace(VIT_BASE, blocks=5))
    choice, _ = chosen(graph, "zcu102", "8x16x8")
    lowered = Sizer(graph).outline(choice.array)
    prediction = predict(lowered.program, lowered.image)
    assert prediction.useful >= 0.975
    assert estimate(lowered.program.parameters, load_board("zcu102")).fits
    data = choice.data()
    assert abs(data["chosen"]["cycles"] / prediction.cycles - 1) < 1e-4
    usual = next(item for item in data["others"] if item["ring_bytes"] == USUAL_RING)
    assert usual["cycles"] > 1.2 * prediction.cycles


@pytest.mark.parametrize(
    ("model", "board", "array"),
    [
        (DIGITS, "ulx3s-85f", "4x4x8"),
        (DIGITS, "zcu102", "4x4x8"),
        (DIGITS, "zcu102", "8x16x8"),
        (AWKWARD, "ulx3s-85f", "4x4x8"),
        (AWKWARD, "kv260", "2x4x2"),
        (DEIT_TINY, "zcu102", "8x16x8"),
        (DEIT_TINY, "zcu102", "4x8x8"),
    ],
)
def test_no_machine_is_slower_than_with_the_usual_ring(model: Vit, board: str, array: str) -> None:
    graph = integer_vit(model)
    choice, before = chosen(graph, board, array)
    sizer = Sizer(graph)
    assert cycles(sizer, choice.array) <= cycles(sizer, before)
    again, _ = chosen(graph, board, array)
    assert again.data() == choice.data()


def test_the_rule() -> None:
    """By trying everything: the least ring, the narrowest row."""
    graph, board = integer_vit(replace(DIGITS, blocks=2, hidden=256)), load_board("zcu102")
    choice, shape = chosen(graph, "zcu102", "8x8x8", Settings(attention="resident"))
    sizer, taken = Sizer(graph), choice.array
    by_ring = {ring: cycles(sizer, replace(shape, ring_bytes=ring)) for ring in RINGS if ring <= USUAL_RING}
    best = min(by_ring.values())
    assert by_ring[taken.ring_bytes] <= (1 + RING_GAIN) * best
    smaller = [ring for ring in by_ring if ring < taken.ring_bytes]
    assert all(by_ring[ring] > by_ring[taken.ring_bytes] for ring in smaller[-1:])
    by_width = [cycles(sizer, replace(taken, row_width=width)) for width in WIDTHS]
    at = WIDTHS.index(taken.row_width)
    for narrow, wide in pairwise(by_width[: at + 1]):
        assert wide <= (1 - WIDTH_GAIN) * narrow
    if at + 1 < len(WIDTHS):
        assert by_width[at + 1] > (1 - WIDTH_GAIN) * by_width[at]
    assert all(trial.fit.board == board for trial in choice.trials)


def test_what_is_said_is_done() -> None:
    graph = integer_vit(DIGITS)
    asked: dict[str, Any] = {"ring_bytes": 1234, "row_width": 2, "attention": "streamed", "span": 1}
    design = compile_graph(graph, board="zcu102", array="4x4x8", **asked)
    p = design.program.parameters
    assert (p.row_width, p.streamed) == (2, True)
    assert p == lower(graph, ArrayShape(
        rows=4, columns=4, depth=8, ring_bytes=1234, row_width=2, streamed=True, span=1
    )).program.parameters  # fmt: skip
    assert {c.span for c in design.program.commands} == {0, 1}
    assert "choice" not in design.notes


def test_one_setting_may_be_open() -> None:
    graph = integer_vit(replace(DIGITS, hidden=1024))
    choice, _ = chosen(graph, "zcu102", "8x16x8", Settings(ring_bytes=USUAL_RING, attention="streamed"))
    assert choice.open == ("row width",)
    assert {(t.array.ring_bytes, t.array.streamed) for t in choice.trials} == {(USUAL_RING, True)}
    choice, _ = chosen(graph, "zcu102", "8x16x8", Settings(row_width=2))
    assert {trial.array.row_width for trial in choice.trials} == {2}


def test_a_small_memory_takes_a_small_ring_before_it_is_refused() -> None:
    graph, board = integer_vit(DEIT_TINY), load_board("zcu102")
    shape = ArrayShape(rows=8, columns=16, depth=8)
    least = [replace(shape, ring_bytes=RINGS[0], streamed=streamed) for streamed in (False, True)]
    blocks = min(estimate(Sizer(graph).parameters(array), board).ram_blocks for array in least)
    small = replace(board, resources=replace(board.resources, ram_blocks=blocks))
    choice = Chooser(Sizer(graph), shape, small, Settings()).choose()
    assert choice.array.ring_bytes < USUAL_RING
    assert estimate(Sizer(graph).parameters(choice.array), small).fits


def test_streaming_is_chosen_where_it_makes_room() -> None:
    """Resident, only a ring that is cut into many groups fits."""
    graph, board = (
        integer_vit(replace(VIT_BASE, width=384, heads=6, hidden=1536, blocks=4)),
        load_board("zcu102"),
    )
    shape, sizer = ArrayShape(rows=8, columns=16, depth=8), Sizer(graph)
    blocks = estimate(sizer.parameters(replace(shape, ring_bytes=96 << 10)), board).ram_blocks
    small = replace(board, resources=replace(board.resources, ram_blocks=blocks))
    choice = Chooser(sizer, shape, small, Settings()).choose()
    assert choice.array.streamed
    resident = Chooser(sizer, shape, small, Settings(attention="resident")).choose()
    assert cycles(sizer, choice.array) < 0.99 * cycles(sizer, resident.array)


def test_experts_and_rows_from_another_token_stay_one_row_wide() -> None:
    graph = integer_vit(replace(DIGITS, prefix=2, ends=2))
    choice, _ = chosen(graph, "zcu102", "8x16x8")
    assert choice.array.row_width == 1


@pytest.mark.parametrize("blocks", [1, KEPT, KEPT + 1, 7])
def test_equal_layers_are_left_out_of_the_comparison(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """These are short beside their latencies; of long ones, see ViT-Base, the others tell more."""
    monkeypatch.setattr("hlsgen.fit.trial.LONG", 0)
    graph = integer_vit(replace(DIGITS, blocks=blocks))
    short = shorten(graph)
    assert short.dropped == max(0, blocks - KEPT)
    assert len(short.graph.nodes) + short.dropped * len(short.twins) == len(graph.nodes)
    again = Sizer(short.graph)  # still a model
    choice, shape = chosen(graph, "zcu102", "4x4x8", Settings(attention="resident"))
    for trial in choice.trials:
        assert abs(trial.cycles - cycles(graph, trial.array)) <= 0.005 * trial.cycles
        assert again.parameters(trial.array).ring_words == Sizer(graph).parameters(trial.array).ring_words
    assert choice.trials[0].array.rows == shape.rows


def test_of_a_small_model_every_layer_is_predicted() -> None:
    graph = integer_vit(replace(DIGITS, blocks=7))
    choice, _ = chosen(graph, "zcu102", "4x4x8")
    assert [trial.cycles for trial in choice.trials] == [cycles(graph, t.array) for t in choice.trials]


def test_the_report_says_what_was_chosen() -> None:
    text = str(compile_graph(integer_vit(DIGITS), board="zcu102", array="8x16x8").report())
    assert "\nchosen     weight ring of " in text
    assert "tried the least that is about as fast as any\n           next best: " in text


def test_a_slow_patch_embedding_is_told() -> None:
    shape = Vit(image=(1, 64, 64), patch=(2, 2), width=64, heads=2, hidden=64, blocks=1)
    text = str(compile_graph(integer_vit(shape), board="zcu102", array="8x16x8").report())
    assert ": a word of 16 pixels is read in 8 parts for patches 2 wide" in text
    assert "note " not in str(compile_graph(integer_vit(DIGITS), board="zcu102", array="4x4x8").report())
