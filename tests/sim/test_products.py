# SPDX-License-Identifier: Apache-2.0
"""Products of keys and values in the C++: random Programs, and Graphs with what stands around products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.products import IMAGE, product_graphs
from support.program_key_lists import KEY_LISTS
from support.program_windows import WINDOWS
from support.programs import draw, machine
from support.token_graphs import integers

from benchmarks.fuzz.generated import Programs
from hlsgen.emit.hls import hls
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape, joint
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare, known
from hlsgen.sim.csim import CSim

STALLED = ("-DHLSGEN_STALLS=7",)
NARROW = {"narrow_weights": 1}


def name(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) and isinstance(value[0], int) else ""


@pytest.mark.parametrize(
    ("shape", "flags", "more"),
    [
        ((3, 4, 2), ("-DHLSGEN_PACK_ROWS=0",), NARROW | {"activation_bits": 10}),
        ((4, 2, 4, 2), STALLED, WINDOWS | KEY_LISTS | {"numerator_digits": 2}),
        pytest.param((4, 4, 4, 4), STALLED, NARROW, marks=pytest.mark.slow),
        pytest.param((1, 1, 8), STALLED, WINDOWS, marks=pytest.mark.slow),
        pytest.param((5, 8, 1), STALLED, {}, marks=pytest.mark.slow),
    ],
    ids=name,
)
def test_random_programs_equal_the_interpreter(
    shape: tuple[int, ...], flags: tuple[str, ...], more: dict[str, int], cpp_folder: Path
) -> None:
    """Every record, and the output; and LOAD and MULTIPLY never wait for a full FIFO (docs/hls.md)."""
    parameters = machine(*shape, **more)
    program, image, pixels = draw(parameters, seed=1, count=100)
    expected = Interpreter(parameters, image.pack()).run(pixels)
    cpp = CSim(
        program, image.pack(), hls(program, image), cpp_folder,
        tracing=True, sanitize=True, scheduled=True, flags=flags,
    )  # fmt: skip
    got = cpp.run_packed([pixels])
    records, wanted = (known(program.commands, each) for each in (got.records[0], expected.records))
    np.testing.assert_array_equal(records, wanted)
    for found, value in zip(got.results, program.unpack_outputs(expected.output), strict=True):
        np.testing.assert_array_equal(found[0], value)
    (schedule,) = got.schedules
    assert all(fifo.most <= fifo.depth for fifo in schedule.fifos.values())
    assert flags == STALLED or schedule.loops["load"].full == schedule.loops["multiply"].full == 0


@pytest.mark.parametrize(
    ("array", "row_width"),
    [
        ((4, 4, 4), 4),  # the last tile has 2 rows of a group of 4
        ((3, 8, 2), 1),
        pytest.param((2, 2, 4), 2, marks=pytest.mark.slow),
        pytest.param((1, 1, 1), 1, marks=pytest.mark.slow),
        pytest.param((2, 1, 8), 1, marks=pytest.mark.slow),
    ],
    ids=name,
)
def test_every_tensor_of_graphs_with_products_equals_golden(
    array: tuple[int, int, int], row_width: int, tmp_path: Path
) -> None:
    """All Graphs share one machine, and one build."""
    rows, columns, depth = array
    shape = ArrayShape(rows=rows, columns=columns, depth=depth, ring_bytes=512, row_width=row_width)
    graphs = product_graphs()
    parameters = joint([Sizer(graph).parameters(shape) for graph in graphs])
    assert parameters.products
    lowered = {number: lower(graph, shape, parameters) for number, graph in enumerate(graphs)}
    programs = Programs(lowered, tmp_path)
    images = np.random.default_rng(3).integers(-128, 128, (2, *IMAGE))
    for number, graph in enumerate(graphs):
        program, image = lowered[number].program, lowered[number].image.pack()
        golden, got = evaluate(graph, images), programs.program(number).run(images)
        np.testing.assert_array_equal(got.outputs, golden[graph.output])
        machine = Interpreter(program.parameters, image)
        for index, records in enumerate(got.records):
            assert compare(program, records, {key: value[index] for key, value in golden.items()}) is None
            expected = machine.run(program.input.pack(images[index], columns)).records
            found, wanted = (known(program.commands, each) for each in (records, expected))
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("row_width", [1, 4])
def test_heads_that_talk_for_tasks(row_width: int, tmp_path: Path) -> None:
    """A task skips the weights of the other one's maps."""
    graph, image = integers("talking_tasks", 5, 16, 2)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=row_width, ring_bytes=512))
    program = lowered.program
    text = hls(program, lowered.image)
    cpp = CSim(program, lowered.image.pack(), text, tmp_path, tracing=True, sanitize=True, flags=STALLED)
    for task in range(graph.tasks):
        records = cpp.run(image[None], task=task).records[0]
        assert compare(program, records, evaluate(graph, image, task), task) is None
