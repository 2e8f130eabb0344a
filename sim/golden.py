# SPDX-License-Identifier: Apache-2.0
"""What a simulation made of an image against golden: every tensor that is shown, and the outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hlsgen.errors import Mismatch, Problem
from hlsgen.machine.format.program import Program
from hlsgen.machine.run import trace
from hlsgen.sim.result import Outcome
from hlsgen.store.compiled import Compiled

_WRITTEN = "all tensors inside the accelerator are equal: what it wrote to memory differs"


def results_of(design: Compiled, task: int) -> tuple[str, ...]:
    """Names of the tensors that leave the machine in a run for a task."""
    return tuple(dict.fromkeys(design.graph.for_task(task).outputs))


def tensors_of(design: Compiled, task: int) -> tuple[str, ...]:
    """Names of the tensors that are compared for a task, its outputs last."""
    graph = design.graph.for_task(task)
    names = {node.name for node in graph}
    views = [view.tensor for view in design.program.views if view.tensor in names]
    return tuple(dict.fromkeys([*views, *graph.outputs]))


def compare(
    design: Compiled, index: int, outcome: Outcome, golden: Mapping[str, np.ndarray], task: int
) -> int:
    """Compare one image; returns how many elements were compared, or raises `Mismatch`."""
    elements = 0
    if outcome.records is not None:
        _compare_trace(design.program, index, outcome.records, golden, task)
        elements = elements_of(design.program, golden, task)
    for tensor, output in zip(design.graph.for_task(task).outputs, outcome.outputs, strict=True):
        expected = golden[tensor].reshape(output.shape)
        wrong = output != expected
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise Mismatch(
                Problem(
                    f"image {index}: {tensor}{list(place)}: golden {expected[place]}, "
                    f"got {output[place]} (what was written; {int(wrong.sum())} elements differ)",
                    why=_WRITTEN if outcome.records is not None else "",
                )
            )
        elements += expected.size
    return elements


def _compare_trace(
    program: Program, index: int, records: np.ndarray, golden: Mapping[str, np.ndarray], task: int
) -> None:
    """Raise `Mismatch` with the first tensor that is not golden's."""
    difference = trace.compare(program, records, golden, task)
    if difference is not None:
        raise Mismatch(
            Problem(
                f"image {index}: {difference}",
                where=f"command {difference.command}: {program.commands[difference.command]}",
                why="this is the first tensor in program order that differs from golden",
            )
        )


def elements_of(program: Program, golden: Mapping[str, np.ndarray], task: int) -> int:
    """Elements that the trace of one image shows."""
    total = 0
    for view in program.views:
        if not program.commands[view.command].runs_for(task):
            continue
        shape = trace.tensor_shape(view)
        rows = (trace.routed_rows(view, golden) >= 0).sum() if view.expert else view.rows
        total += int(np.prod(shape)) // view.rows * int(rows)
    return total
