# SPDX-License-Identifier: Apache-2.0
"""`Design`: a compiled model with every verb. `hlsgen.compile` returns it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.store.compiled import Compiled
from hlsgen.store.samples import Samples

if TYPE_CHECKING:
    from hlsgen.evaluation.evaluation import Evaluation
    from hlsgen.executors.executor import Executor
    from hlsgen.ir import Graph
    from hlsgen.report.report import Report
    from hlsgen.sim.result import Simulation


class Design(Compiled):
    """A compiled model with every verb. `compile`, `build` and `Design.load` return it."""

    @classmethod
    def of(cls, compiled: Compiled) -> Self:
        """The same compiled model with the verbs."""
        return cls(**{item.name: getattr(compiled, item.name) for item in dataclasses.fields(compiled)})

    def simulate(
        self,
        level: str = "program",
        simulator: str = "verilator",
        samples: int | np.ndarray | None = None,
        task: int = 0,
        labels: np.ndarray | None = None,
        executor: Executor | None = None,
    ) -> Simulation:
        """Run images at a level and compare every tensor with golden.

        Parameters
        ----------
        level
            `program` (the interpreter), `csim` (the C++), `rtl` (the Verilog) or `soc` (the Verilog in a
            system whose processor runs the C driver: outputs alone are compared).
        simulator
            For level rtl: `verilator` or `icarus`.
        samples
            How many of the stored samples, or real images [N, C, H, W] as for `predict`; None: as many stored
            samples as take seconds.
        task
            Number of the model's output.
        labels
            Classes [N] of given images, if they are known.
        executor
            Where images run, split over its workers; see `hlsgen.executors.choose`. Without it here.

        Raises `Mismatch` with the first difference, `UsageError` for values that are not possible,
        `ToolMissing` and `ToolFailed` for compilers and simulators.
        """
        from hlsgen.sim.levels import simulate
        from hlsgen.sim.parts import simulate_parts

        design, count = self, samples
        if isinstance(samples, np.ndarray):
            design = dataclasses.replace(self, samples=self._samples(samples, labels))
            count = len(design.samples)
        assert not isinstance(count, np.ndarray)
        if executor is None:
            return simulate(design, level=level, simulator=simulator, samples=count, task=task)
        return simulate_parts(design, executor, level=level, simulator=simulator, samples=count, task=task)

    def evaluate(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        reference: Graph | None = None,
        own: np.ndarray | None = None,
        level: str = "golden",
        simulator: str = "verilator",
        task: int = 0,
        executor: Executor | None = None,
    ) -> Evaluation:
        """Accuracy, noise, experts and clipped inputs on real images, and a level beside golden.

        A build folder that can be written keeps the figures for `report`.

        Parameters
        ----------
        images
            Preprocessed images [N, C, H, W].
        labels
            Classes [N] of the first task, if they are known.
        reference
            The float Graph, as `hlsgen.capture` gives it for the same outputs; without it figures of the
            float model are left out.
        own
            The first output [N, elements] of a model that is quantized already, computed by its own runtime.
        level
            `golden`, or a level of `simulate` that has to give golden's integers for every image.
        simulator
            For level rtl: `verilator` or `icarus`.
        task
            Number of the model's output.
        executor
            Where images run, as for `simulate`.

        Raises `UsageError` and `CalibrationError` for images, labels or a float Graph that won't do, and what
        `simulate` raises.
        """
        from hlsgen.evaluation.evaluate import evaluate_design

        return evaluate_design(
            self,
            images,
            labels,
            reference=reference,
            own=own,
            level=level,
            simulator=simulator,
            task=task,
            executor=executor,
        )

    def _samples(self, images: np.ndarray, labels: np.ndarray | None) -> Samples:
        """Real images as samples; raises `UsageError` for other shapes or none."""
        integers = self.quantize_input(images)
        if not len(integers):
            raise UsageError("at least one image is needed")
        return Samples(integers, labels)

    def export(
        self,
        board: str | None = None,
        directory: str | Path | None = None,
        clock: float | None = None,
    ) -> Path:
        """Write the board's bitstream project; returns its folder.

        Parameters
        ----------
        board
            Name or TOML file; by default the board that the design was compiled for.
        directory
            The project's folder; by default DIR/boards/BOARD in the build folder DIR.
        clock
            The accelerator's clock in MHz; by default the board's.

        Raises `DoesNotFit`, and `UsageError` for a board with a narrower bus or without a project of its own,
        and for a clock that the board can't make.
        """
        from hlsgen.bitstream.export import export

        return export(self, board, directory, clock)

    def report(self) -> Report:
        """Figures of the design: accuracy, memories, predicted cycles and utilisation."""
        from hlsgen.report.report import make_report

        return make_report(self)

    def save(self, directory: str | Path) -> Self:
        """Write the build folder, whole or not at all; returns the design that lives there.

        Equal designs give equal bytes. Raises `UsageError` when `directory` holds something else.
        """
        from hlsgen.emit.contents import save

        return save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """The design of a build folder; raises `UsageError` for another or a damaged folder."""
        from hlsgen.store.folder import load

        return cls.of(load(Path(directory)))
