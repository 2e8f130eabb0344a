# SPDX-License-Identifier: Apache-2.0
"""A design's figures: accuracy, size, predicted cycles."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from hlsgen.boards.read import load_board
from hlsgen.display.html import count, facts, table
from hlsgen.emit.page import page
from hlsgen.fit.estimate import estimate
from hlsgen.machine.format.commands import Load
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import board_memory
from hlsgen.machine.time.phases import steps_of
from hlsgen.quantization.noise import decibels
from hlsgen.report.accuracy import accuracy_lines, routing_lines
from hlsgen.report.choice import choice_lines
from hlsgen.report.facts import Accuracy, Facts
from hlsgen.report.figures import figures
from hlsgen.report.moves import move_lines, move_rows
from hlsgen.report.tables import placed_lines, sections_line, tables
from hlsgen.store.compiled import Compiled
from hlsgen.store.evaluated import load

WORTH = 0.01
"""Share of the cycles from which the loading of patches is worth a word."""


class Report(Facts):
    """A design's figures; `str` is the text, `data` is for JSON, `html` the page."""

    @property
    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        program = self.design.program
        return {
            "board": self.design.board,
            "array": [program.parameters.rows, program.parameters.columns, program.parameters.depth],
            "macs": program.macs,
            "commands": len(program.commands),
            "image_bytes": self.design.image.size,
            "predicted_cycles": self.prediction.cycles,
            "board_cycles": self.board_cycles,
            "predicted_utilisation": self.prediction.useful,
            "bytes_read": self.prediction.bytes_read,
            "dsp": self.fit.dsp,
            "ram_blocks": self.fit.ram_blocks,
            "choice": dict(self.design.notes.get("choice", {})),
            "accuracy": asdict(self.accuracy),
            **({"evaluated": tasks} if (tasks := self._evaluated()) else {}),
            "quantization": dict(self.design.quantization),
            "warnings": list(self.warnings),
            **({"outputs": outputs} if (outputs := output_costs(self.design)) else {}),
            **({"moves": moves} if (moves := move_rows(program, self.prediction)) else {}),
        }

    def _evaluated(self) -> dict[str, Any]:
        return {str(task): found.data() for task, found in self.evaluated.items()}

    def html(self) -> str:
        """One page that needs no other file: time line, roofline, memory map, ranges, resources."""
        found = figures(self)
        texts = {"sections": sections_line(found), "placed": placed_lines(found)}
        return page(found, {"figures": found, "tables": tables(found), **texts})

    def __repr__(self) -> str:
        p, model = self.design.program.parameters, self.design.notes.get("model", "model")
        figures = f"{self.prediction.cycles:,} cycles predicted, {self.prediction.useful:.1%} useful"
        warned = f", {count(len(self.warnings), 'warning')}" if self.warnings else ""
        return f"Report({model!r}, {self.fit.board.name}, {p.rows}x{p.columns}x{p.depth}: {figures}{warned})"

    def _repr_html_(self) -> str:
        """The top of the page: what was measured, else predicted, then the phases."""
        found = figures(self)
        phases = tables(found)["phases"]
        items = {item["label"]: item["value"] for item in found["headline"]}
        return facts(f"Report: {found['title']}", items, self.warnings) + table(phases.head, phases.rows)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"warning    {text}" for text in self.warnings)])

    @property
    def summary(self) -> str:
        """The text without the warnings."""
        program, parameters = self.design.program, self.design.program.parameters
        array = f"{parameters.rows}x{parameters.columns}x{parameters.depth}"
        have = self.fit.board.resources
        ram = f"{self.fit.ram_blocks} of {have.ram_blocks} RAM blocks"
        lines = [
            f"array      {array}: {parameters.lanes} products per cycle, {parameters.bus_bytes}-byte bus",
            f"program    {len(program.commands)} commands, Image of {self.design.image.size} bytes",
            f"work       {program.macs} useful multiply-accumulates per image",
            f"predicted  {self.prediction.cycles} cycles, {100 * self.prediction.useful:.1f} % utilisation",
            f"board      {self.fit.board.name}: about {self.fit.dsp} of {have.dsp} DSP blocks, {ram}",
        ]
        if self.board_cycles is not None:
            lines.append(f"on board   {self.board_cycles} cycles, with the Image in block RAM")
        lines += choice_lines(self.design.notes.get("choice", {}))
        lines += [_output_line(item) for item in output_costs(self.design)]
        lines += move_lines(program, self.prediction)
        return "\n".join([*lines, *accuracy_lines(self), *routing_lines(self), *self._embedding()])

    def _embedding(self) -> list[str]:
        """Where patches take much longer to load than their products: how long, and why."""
        program, p = self.design.program, self.design.program.parameters
        command = next((each for each in program.commands if each.load is Load.PATCHES), None)
        if command is None:
            return []
        parts = p.columns // math.gcd(p.columns, command.patch_width)
        loads, steps = command.row_count(p.rows) * command.k_words * parts, steps_of(command)
        if parts == 1 or loads - steps < WORTH * self.prediction.cycles:
            return []
        why = f"a word of {p.columns} pixels is read in {parts} parts for patches {command.patch_width} wide"
        return [f"note       patches take {loads} cycles to load, their products {steps}: {why}"]


def make_report(design: Compiled) -> Report:
    """The figures of a design; runs golden on its samples and the cycle model."""
    from hlsgen.report.routing import sample_routing

    board, routing = load_board(design.board), sample_routing(design)
    program, image, memory = design.program, design.image, board_memory(board.image)
    target = design.rtl_target
    on_board = predict(program, image, memory, routing, target).cycles if memory.near else None
    return Report(
        design=design,
        accuracy=measure(design),
        evaluated=load(design),
        prediction=predict(program, image, routing=routing, target=target),
        board_cycles=on_board,
        routing=routing,
        fit=estimate(program.parameters, board, image.size),
    )


def output_costs(design: Compiled) -> list[dict[str, Any]]:
    """Of each output of the first task that is more than a row of logits: name, shape, cycles of the array.

    Its last command's. An output that is the model's own linear layer has that anyway; for another one the
    command is there for the output alone.
    """
    program = design.program
    if len(program.results()) == 1 and program.output.rows == 1:
        return []
    made = {view.tensor: view.command for view in program.views if view.which == DRAIN}
    return [
        {
            "name": layout.name or layout.tensor,
            "rows": layout.rows,
            "columns": layout.columns,
            "cycles": steps_of(program.commands[made[layout.tensor]]),
        }
        for layout in program.results()
    ]


def _output_line(item: dict[str, Any]) -> str:
    shape = f"{item['rows']}x{item['columns']}"
    return f"output     {item['name']}: {shape}, {item['cycles']} cycles of the array"


def measure(design: Compiled) -> Accuracy:
    """Accuracy of golden and of the float model on the design's samples."""
    samples = design.samples
    golden, _ = design.sample_golden
    first = next(iter(golden.values()))
    integers = first.reshape(len(first), -1)
    classes = integers.argmax(-1)
    classified = design.program.output.rows == 1 and not design.graph.names
    reference, labels = samples.reference, samples.labels if classified else None
    correct = right = same = noise = centred = None
    if labels is not None:
        correct = int((classes == labels).sum())
    if reference is not None:
        right = None if labels is None else int((reference.argmax(-1) == labels).sum())
        same = int((reference.argmax(-1) == classes).sum()) if classified else None
        error = integers * (design.graph.type_of(design.graph.output).scale or 1.0) - reference
        noise = decibels(reference, error)
        if len(samples) > 1:
            centred = decibels(reference - reference.mean(0), error - error.mean(0))
    return Accuracy(
        images=len(samples),
        integer=correct,
        float=right,
        same_class=same,
        logits_db=noise,
        centred_db=centred,
    )
