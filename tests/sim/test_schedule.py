# SPDX-License-Identifier: Apache-2.0
"""The model of the C++'s processes: cycles, results that no time changes, deadlocks that it notices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.graphs import DIGITS, images, integer_vit

from hlsgen.emit.hls import hls
from hlsgen.errors import ToolFailed
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.modes.table import PRODUCTS
from hlsgen.machine.run import trace
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.hls import schedule
from hlsgen.sim.csim import CSim
from hlsgen.sim.schedule import Fifo, Loop, read


@pytest.fixture(scope="module")
def graph() -> Graph:
    return integer_vit(DIGITS)


@pytest.fixture(scope="module")
def lowered(graph: Graph) -> Lowered:
    return lower(graph, ArrayShape(rows=4, columns=4, depth=8, ring_bytes=4096))


def test_the_models_text_is_read() -> None:
    text = "cycles 7\nprocess load 5 1 2 1\nfifo raws 9 4\ncycles 8\n"
    first, second = read(text)
    assert (first.cycles, first.loops, first.fifos) == (7, {"load": Loop(5, 1, 2)}, {"raws": Fifo(9, 4)})
    assert (second.cycles, second.loops) == (8, {})


def test_the_stages_overlap(graph: Graph, lowered: Lowered, cpp_folder: Path) -> None:
    """An image takes more cycles than MULTIPLY has steps, and not many more than the RTL should take."""
    files = hls(lowered.program, lowered.image)
    machine = CSim(lowered.program, lowered.image.pack(), files, cpp_folder, scheduled=True)
    inputs = images(DIGITS, 2)
    result = machine.run(inputs)
    np.testing.assert_array_equal(result.outputs, evaluate(graph, inputs)[graph.output])
    commands = lowered.program.commands
    steps = sum(PRODUCTS[command.product].steps(command) for command in commands)
    rtl = predict(lowered.program, lowered.image).cycles
    plan = schedule(lowered.program.parameters)
    assert len(result.schedules) == 2
    for item in result.schedules:
        assert steps < item.cycles < 1.5 * rtl
        assert item.loops["load"].full == item.loops["multiply"].full == 0  # docs/hls.md: they never wait
        for name, fifo in item.fifos.items():
            assert fifo.depth == plan.depths[name]
            assert fifo.most <= fifo.depth


@pytest.mark.parametrize("flags", ["-DHLSGEN_STALLS=1", "-DHLSGEN_STALLS=2 -DHLSGEN_PACK_ROWS=0"])
def test_results_do_not_depend_on_time(graph: Graph, lowered: Lowered, cpp_folder: Path, flags: str) -> None:
    files = hls(lowered.program, lowered.image)
    image = lowered.image.pack()
    machine = CSim(lowered.program, image, files, cpp_folder, tracing=True, flags=flags.split())
    inputs = images(DIGITS, 2)
    result = machine.run(inputs)
    golden = evaluate(graph, inputs)
    np.testing.assert_array_equal(result.outputs, golden[graph.output])
    for index, records in enumerate(result.records):
        expected = {name: value[index] for name, value in golden.items()}
        assert trace.compare(lowered.program, records, expected) is None


def test_a_deadlock_ends_the_program(lowered: Lowered, cpp_folder: Path) -> None:
    """A row that waits for its scale must find room: with room for a word nobody goes on."""
    files = hls(lowered.program, lowered.image)
    text, count = re.subn(r'("raws", load_loop), \d+, \d+', r"\1, 1, 1", files["hls/dataflow.hpp"])
    assert count == 1
    changed = files | {"hls/dataflow.hpp": text}
    machine = CSim(lowered.program, lowered.image.pack(), changed, cpp_folder)
    with pytest.raises(ToolFailed, match="the processes wait for each other in cycle"):
        machine.run(images(DIGITS, 1))
