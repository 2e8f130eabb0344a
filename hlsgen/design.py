# SPDX-License-Identifier: Apache-2.0
"""What `hlsgen.compile` returns: a compiled model, and all that can be done with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.store.compiled import Compiled
from hlsgen.store.samples import Samples

if TYPE_CHECKING:
    from hlsgen.report.report import Report
    from hlsgen.sim.levels import Simulation


class Design(Compiled):
    """What `compile` returns. Every level computes the same integers."""

    @classmethod
    def of(cls, compiled: Compiled) -> Self:
        """The same compiled model, with the verbs."""
        return cls(**{item.name: getattr(compiled, item.name) for item in dataclasses.fields(compiled)})

    def simulate(
        self,
        level: str = "program",
        simulator: str = "verilator",
        samples: int | np.ndarray | None = None,
        task: int = 0,
        labels: np.ndarray | None = None,
    ) -> Simulation:
        """Run images at `level` (program, csim or rtl) and compare every tensor with golden.

        samples: how many of the stored ones, or real images [N, C, H, W] as for `predict`, with their
        `labels` [N] if they are known. Raises `Mismatch` with the first difference.
        """
        from hlsgen.sim.levels import simulate

        if isinstance(samples, np.ndarray):
            given = dataclasses.replace(self, samples=self._samples(samples, labels))
            count = len(given.samples)
            return simulate(given, level=level, simulator=simulator, samples=count, task=task)
        return simulate(self, level=level, simulator=simulator, samples=samples, task=task)

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
        """Write the board's bitstream project; returns its folder, by default DIR/boards/BOARD.

        clock: the accelerator's, in MHz, by default the board's.
        """
        from hlsgen.bitstream.export import export

        return export(self, board, directory, clock)

    def report(self) -> Report:
        """Figures of the design: accuracy, memories, predicted cycles and utilisation."""
        from hlsgen.report.report import make_report

        return make_report(self)

    def save(self, directory: str | Path) -> Self:
        """Write the build folder; returns the design that lives there. Equal designs give equal bytes."""
        from hlsgen.emit.contents import save

        return save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """The design of a build folder; raises `UsageError` when it is none or damaged."""
        from hlsgen.store.folder import load

        return cls.of(load(Path(directory)))
