# SPDX-License-Identifier: Apache-2.0
"""Golden = interpreter, every tensor, over models and array shapes."""

from __future__ import annotations

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, TINY, Vit, images, integer_vit

from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Command, Depends, Drain
from hlsgen.machine.format.interface import DRAIN, SCORES, record_type
from hlsgen.machine.format.program import Program
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter

ARRAYS = [(4, 4, 8), (1, 1, 1), (3, 4, 2), (2, 2, 8), (8, 16, 8), (5, 8, 1), (1, 1, 8), (64, 2, 4)]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: "x".join(map(str, a)))
@pytest.mark.parametrize("model", [DIGITS, AWKWARD, TINY], ids=["digits", "awkward", "tiny"])
def test_every_tensor_equals_golden(model: Vit, array: tuple[int, int, int]) -> None:
    graph = integer_vit(model)
    rows, columns, depth = array
    lowered = lower(graph, ArrayShape(rows=rows, columns=columns, depth=depth, ring_bytes=2048))
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    assert machine.commands == program.commands
    for image in images(model, 2):
        golden = evaluate(graph, image)
        run = machine.run(program.input.pack(image, columns))
        assert trace.compare(program, run.records, golden) is None
        assert len(run.output) == lowered.image.output_bytes
        np.testing.assert_array_equal(
            program.output.unpack(run.output, program.parameters), golden[graph.output]
        )


def test_views_cover_every_tensor_of_a_block() -> None:
    graph = integer_vit(DIGITS)
    program = lower(graph, ArrayShape(rows=4, columns=4, depth=8)).program
    shown = {view.tensor for view in program.views}
    hidden = {node.name for node in graph} - shown
    # Accumulators before a table or an addition, and a selection, never leave the pipeline as words.
    assert hidden == {"embed", "b0_out", "b0_up", "b0_down", "b1_out", "b1_up", "b1_down", "token"}


def test_compare_names_the_first_difference() -> None:
    graph = integer_vit(DIGITS)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    image = images(DIGITS, 1)[0]
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(image, 4)
    )
    golden = dict(evaluate(graph, image))
    changed = golden["b0_gelu"].copy()
    changed[3, 9] += 1
    found = trace.compare(lowered.program, run.records, golden | {"b0_gelu": changed})
    assert found is not None
    assert (found.tensor, found.index, found.golden) == ("b0_gelu", (3, 9), int(changed[3, 9]))
    assert found.got == changed[3, 9] - 1
    missing = run.records[
        ~((run.records["command"] == 4) & (run.records["row"] == 2) & (run.records["which"] == 1))
    ]
    found = trace.compare(lowered.program, missing, golden)
    assert found is not None
    assert found.got is None


def test_program_text_round_trips() -> None:
    program = lower(integer_vit(AWKWARD), ArrayShape(rows=3, columns=4, depth=2)).program
    assert Program.parse(str(program)) == program


def test_only_what_nothing_depends_on_is_unknown() -> None:
    """Scores beyond the keys of a tile's last word; every other element stays."""
    lowered = lower(integer_vit(DIGITS), ArrayShape(rows=4, columns=4, depth=8))
    commands = lowered.program.commands
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(images(DIGITS, 1)[0], 4)
    )
    marked = run.records.copy()
    marked["data"] = 1
    hidden = trace.known(commands, marked)["data"] == 0
    keys = max(command.keys for command in commands)
    assert keys % 4
    scores = (marked["which"] == DRAIN) & (marked["kind"] == SCORES) & (marked["word"] == keys // 4)
    assert hidden[scores][:, keys % 4 :].all()
    assert hidden.sum() == scores.sum() * (4 - keys % 4)


@pytest.mark.parametrize("depends", list(Depends))
def test_rows_that_lie_nowhere_are_unknown(depends: Depends) -> None:
    """A sum of a stored tensor and nothing has weights of zero; it may wait for the tensor."""
    records = np.zeros(1, record_type(4))
    records["data"] = 1
    nothing, own = (Command(drain=Drain.ADD, depends=depends, source_stride=stride) for stride in (0, 3))
    assert not trace.known([nothing], records)["data"].any()
    assert trace.known([own], records)["data"].all() == (depends is not Depends.NONE)
