# SPDX-License-Identifier: Apache-2.0
"""Keys and values in external memory: the same bits as in the machine, for every shape and span."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, TINY, images, integer_vit

from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.program import Program
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare

SHAPES = [(4, 4, 8, 1), (3, 8, 2, 1), (1, 1, 1, 1), (5, 2, 8, 1), (4, 4, 8, 2), (6, 8, 2, 2), (4, 4, 8, 4)]


@pytest.mark.parametrize("span", [0, 1, 2])
@pytest.mark.parametrize(("rows", "columns", "depth", "width"), SHAPES)
@pytest.mark.parametrize("model", [DIGITS, AWKWARD, TINY], ids=["digits", "awkward", "tiny"])
def test_every_tensor_equals_golden_and_the_resident_run(model, rows, columns, depth, width, span) -> None:
    graph = integer_vit(model)
    resident = ArrayShape(rows=rows, columns=columns, depth=depth, ring_bytes=2048, row_width=width)
    streamed = replace(resident, streamed=True, span=span)
    outputs = []
    picture = images(model, 1)[0]
    for array in (resident, streamed):
        lowered = lower(graph, array)
        program = lowered.program
        run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(picture, columns))
        assert compare(program, run.records, evaluate(graph, picture)) is None
        outputs.append(program.output.unpack(run.output, program.parameters))
        assert Program.parse(str(program)) == program
    np.testing.assert_array_equal(*outputs)
