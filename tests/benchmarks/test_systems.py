# SPDX-License-Identifier: Apache-2.0
"""The systems' page: every paper of the list, examples that exist, and the text that the command writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.systems import memory, orders, record
from benchmarks.systems.__main__ import PAGE, TEXT, page
from benchmarks.systems.blocks import ROW_WIDTH, SHAPES, pictures, prepared
from benchmarks.systems.measure import names
from benchmarks.systems.papers import PAPERS
from benchmarks.systems.published import MODELS
from hlsgen.boards.families import ZYNQMP
from hlsgen.fit.memories import RamShape
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import Scores
from hlsgen.pipeline import capture
from hlsgen.quantization.orders import BLOCK, TILE


def test_every_paper_runs_or_waits() -> None:
    assert len({paper.name for paper in PAPERS}) == len(PAPERS) == 38
    for paper in PAPERS:
        assert paper.example or paper.waits, paper.name
        example = paper.example.partition(",")[0]
        assert not example or example.startswith("shipped: ") or example in names(), paper.name


def test_the_page_is_what_the_command_writes() -> None:
    lines = PAGE.read_text().splitlines()
    examples = [line for line in lines if line.startswith("| `")]
    models = [line for line in lines if line.startswith(tuple(f"| {name} |" for name in MODELS))]
    assert [line.split("`")[1] for line in examples] == names()
    assert not {*names()} & {*MODELS}
    assert not {*names(), *MODELS} & {*SHAPES}
    assert len(models) == len(MODELS)
    shapes = [
        line for line in lines if line.startswith(tuple(f"| {name} | {SHAPES[name][0]} |" for name in SHAPES))
    ]
    assert [line.split(" | ")[0] for line in shapes] == [f"| {name}" for name in SHAPES]
    tables = PAGE.read_text().partition("## Memory")[2].partition("\n## ")[0].split("|---|---|---|---|\n")[1:]
    memories, devices = ([line for line in table.splitlines() if line.startswith("|")] for table in tables)
    devices_start = memories.index("| device | RAM blocks | UltraRAM | fits |")
    assert PAGE.read_text() == page(examples, models, shapes, memories[:devices_start], devices)
    assert TEXT.partition("{")[0] in PAGE.read_text()


def test_a_run_in_rtl_counts_while_its_model_is_predicted_the_same(tmp_path: Path) -> None:
    file, run = tmp_path / "runs.json", record.Run(cycles=1000, predicted=999, tensors=7)
    assert record.kept("a", 999, file) is None
    record.keep("b", record.Run(1, 1, 1), file)
    record.keep("a", run, file)
    assert record.kept("a", 999, file) == run
    assert record.kept("a", 998, file) is None
    assert record.kept("b", 1, file) == record.Run(1, 1, 1)
    assert str(run) == "RTL, 7 tensors equal, model -0.100%"


def test_memories_go_to_ultraram_where_it_is_worth_it() -> None:
    large, flat = (
        RamShape(name="", count=2, depth=depth, width=width, ram=ZYNQMP.ram)
        for depth, width in ((16384, 144), (64, 64))
    )
    assert (large.blocks, memory.ultra(large)) == (256, 16)
    assert (flat.blocks, memory.ultra(flat)) == (4, 2)
    found = [large, flat]
    assert memory.spread(found, memory.Device("", 300, 0)) == (260, 0)
    assert memory.spread(found, memory.Device("", 300, 15)) == (260, 0)
    assert memory.spread(found, memory.Device("", 300, 64)) == (4, 16)
    rows = list(memory.devices(found))
    assert rows[0] == "| ZU5 (KV260) | 4 of 288 | 16 of 64 | yes |"
    assert list(memory.rows(found))[-1] == "| together | 0.59 MB | 260 | |"


def test_what_the_chosen_order_costs_other_arrays() -> None:
    """On the array that orders are compared for it is the best; neighbours are those of the mask."""
    mask = orders.seen(8, 3, 1)
    assert mask.shape == (1, 64, 64)
    assert (mask.sum(-1) == 9).all()
    assert set(np.flatnonzero(mask[0, 0])) == {0, 1, 2, 8, 9, 10, 16, 17, 18}
    costs = dict(zip(orders.SIZES, orders.costs(mask), strict=True))
    assert min(costs.values()) >= 1.0
    assert costs[TILE, BLOCK] <= 8 / 7  # below, rows stay as they are


def test_the_model_is_within_a_hundredth_of_every_run() -> None:
    known = json.loads(record.FILE.read_text())
    assert known
    for name, each in known.items():
        assert name in {*MODELS, *SHAPES}
        assert abs(each["predicted"] / each["cycles"] - 1) < 0.01, name


@pytest.mark.parametrize("name", ["mqsa-ted-64"])
def test_a_block_at_its_shape_is_equal(name: str) -> None:
    graph, image = prepared(name)
    lowered = lower(graph, ArrayShape(rows=8, columns=16, depth=8, row_width=ROW_WIDTH))
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(image, 16)
    )
    assert compare(lowered.program, run.records, evaluate(graph, image)) is None


def test_queries_of_blocks_see_their_own_keys() -> None:
    """49 keys for each query of both neighbourhoods, whether keys are gathered or cut into windows."""
    for name in ("gna-14", "fna-14"):
        model = SHAPES[name][1]().eval()
        scores = [node.op for node in capture(model, pictures((14, 14), 1)) if isinstance(node.op, Scores)]
        assert len(scores) == 1
        assert scores[0].bias is not None
        assert (np.isfinite(scores[0].bias).sum(-1) == 49).all()
