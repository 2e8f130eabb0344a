# SPDX-License-Identifier: Apache-2.0
"""A shipped example in simulation: one image runs on its RTL, and every tensor is held against golden."""

from __future__ import annotations

import dataclasses
import re
import warnings
from dataclasses import dataclass

import numpy as np

from hlsgen.boards.read import load_board
from hlsgen.demo import MODELS
from hlsgen.design import Design
from hlsgen.errors import QuantizationWarning, UsageError
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.shipped import SHIPPED
from hlsgen.ir import evaluate
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import CYCLES
from hlsgen.machine.run import trace
from hlsgen.machine.time.phases import phase_of
from hlsgen.machine.time.plan import Routing, make_plan
from hlsgen.pipeline import capture, compile, quantize  # noqa: A004
from hlsgen.report.figures import command_names
from hlsgen.report.routing import choices, expert_bytes, loads
from hlsgen.sim.cosim import Run
from hlsgen.sim.golden import elements_of, tensors_of
from hlsgen.sim.levels import harness
from hlsgen.store.measured import command_ends

BOARD, ARRAY = "kv260", "4x4x8"
"""A board whose Image lies in external memory, as in the simulation; an array that compiles in seconds."""


@dataclass(frozen=True)
class Flip:
    """One bit of the weights that is wrong: byte of the section, bit of the byte."""

    byte: int
    bit: int


@dataclass(frozen=True)
class Span:
    """A command's time, in cycles from the start: from the end of the one before to its own."""

    name: str
    """The tensor that it writes."""
    phase: str
    block: str
    """The module that it belongs to: `blocks.0`."""
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the machine did with one image."""

    run: Run
    golden: dict[str, np.ndarray]
    """Every tensor of the golden model."""
    output: np.ndarray
    """Integers [rows, columns] of the task, as they arrived in memory."""
    difference: trace.Difference | None
    """The first in program order; None: every tensor inside the machine equals golden."""
    arrived: bool
    """Whether the output that arrived in memory is golden's."""
    spans: tuple[Span, ...]
    tensors: dict[str, np.ndarray]
    """What the machine wrote, by tensor; those of experts, which lie in queues, are left out."""

    @property
    def equal(self) -> bool:
        """Whether everything is golden's."""
        return self.difference is None and self.arrived

    @property
    def cycles(self) -> int:
        """From the start to the last result in memory."""
        return self.run.counters[CYCLES.title]


class Machine:
    """A compiled example and its simulator, which is built once.

    Raises `UsageError` for another example, `ToolMissing` and `ToolFailed` for Verilator's tools.
    """

    def __init__(self, model: str) -> None:
        """`model`: one of `MODELS`."""
        if model not in MODELS:
            raise UsageError(f"model must be one of {', '.join(MODELS)}, not {model!r}")
        loaded, data = load_model(model, SHIPPED[model].shape, None), load_data(model)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", QuantizationWarning
            )  # of calibration images that are not the user's
            quantized = quantize(capture(loaded.model, loaded.example), data.images)
        self.design: Design = compile(quantized, notes={"model": model}, board=BOARD, array=ARRAY)
        self.clock_mhz = load_board(BOARD).core_mhz
        self._harness = harness(self.design, quick=True)

    @property
    def weight_bytes(self) -> int:
        """Bytes in which a bit can be flipped."""
        return len(self.design.image.weights)

    def run(self, image: np.ndarray, task: int = 0, flip: Flip | None = None) -> Decision:
        """Run one real image [1, 8, 8]; golden keeps the right weights where a bit is flipped."""
        design, program = self.design, self.design.program
        graph = design.graph.for_task(task)
        integers = design.quantize_input(image)[0]
        golden = {name: np.asarray(value) for name, value in evaluate(graph, integers).items()}
        packed = program.input.pack(integers, program.parameters.columns)
        run = self._harness.run(self._flipped(flip).pack(), [packed], task=task)[0]
        assert run.records is not None
        written = trace.rebuild(program, run.records, golden)
        ran = {view.tensor for view in program.views if program.commands[view.command].runs_for(task)}
        output = program.unpack_outputs(run.output, task)[0]
        return Decision(
            run=run,
            golden=golden,
            output=output,
            difference=trace.compare(program, run.records, golden, task),
            arrived=np.array_equal(output, golden[graph.output].reshape(output.shape)),
            spans=self._spans(run.records),
            tensors={graph.input: integers} | {name: written[name] for name in written if name in ran},
        )

    def _flipped(self, flip: Flip | None) -> Image:
        if flip is None:
            return self.design.image
        if not 0 <= flip.byte < self.weight_bytes or not 0 <= flip.bit < 8:
            raise UsageError(f"a flip must be in bytes 0..{self.weight_bytes - 1} and bits 0..7, not {flip}")
        weights = bytearray(self.design.image.weights)
        weights[flip.byte] ^= 1 << flip.bit
        return dataclasses.replace(self.design.image, weights=bytes(weights))

    def _spans(self, records: np.ndarray) -> tuple[Span, ...]:
        """Every command that ran, from the simulation's own trace."""
        program, names = self.design.program, command_names(self.design.program)
        spans, begin, before = [], 0, None
        for index, end in sorted(command_ends(records).items(), key=lambda item: item[1]):
            command = program.commands[index]
            block = self._block(names[index])
            spans.append(Span(names[index], phase_of(command, before), block, begin, end))
            begin, before = end, command
        return tuple(spans)

    def _block(self, tensor: str) -> str:
        module = self.design.graph.node(tensor).source.module
        found = re.match(r"\w+(\.\d+)?", module)
        return found[0] if found else module

    def compared(self, decision: Decision, task: int) -> tuple[int, int]:
        """How many tensors and integers were held against golden."""
        return len(tensors_of(self.design, task)), elements_of(self.design.program, decision.golden, task)

    def experts(self, decision: Decision, task: int) -> dict[str, tuple[int, np.ndarray]]:
        """Of each routing the number of experts, and those of each token [tokens, k]."""
        return choices(self.design.graph.for_task(task), decision.golden)

    def expert_bytes(self, decision: Decision, task: int) -> tuple[int, int]:
        """Bytes of experts' weights: each used expert once, as the machine reads them; and token by token."""
        graph = self.design.graph.for_task(task)
        routing = Routing(task=task, loads=loads(graph, decision.golden))
        return expert_bytes(make_plan(self.design.program, self.design.image, routing))
