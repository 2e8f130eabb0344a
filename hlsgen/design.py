# SPDX-License-Identifier: Apache-2.0
"""A compiled model: golden model, program and image, and what can be done with them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.ir import Graph, evaluate, outputs
from hlsgen.machine.image import Image
from hlsgen.machine.program import Program
from hlsgen.samples import Samples, quantize_images

if TYPE_CHECKING:
    from hlsgen.report.report import Report
    from hlsgen.simulate import Simulation


@dataclass(frozen=True, eq=False)
class Design:
    """What `compile` returns. Every level computes the same integers.

    Attributes
    ----------
    graph
        The integer Graph: golden.
    program, image
        What the accelerator executes.
    board
        Name of the board it was compiled for.
    samples
        Images to simulate, with labels and float logits where they are known.
    notes
        Facts of the compilation for the report, ready for JSON.
    quantization
        The quantizer's report, ready for JSON: range, saturation and noise of every tensor.
    directory
        The build folder, once saved or loaded.
    """

    graph: Graph
    program: Program
    image: Image
    board: str
    samples: Samples
    notes: Mapping[str, Any]
    quantization: Mapping[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    _known: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was worked out before, with what it was made of: copies share it."""

    def __repr__(self) -> str:
        p = self.program.parameters
        return (
            f"Design({self.notes.get('model', 'model')!r}, board={self.board!r}, "
            f"array={p.rows}x{p.columns}x{p.depth}, commands={len(self.program.commands)}, "
            f"samples={len(self.samples)}, directory={str(self.directory) if self.directory else None!r})"
        )

    def quantize_input(self, images: np.ndarray) -> np.ndarray:
        """Real images [N, C, H, W] as the integers that the accelerator reads.

        Warns with `hlsgen.errors.ClippedInput` when many pixels are saturated, as `predict` and `trace` do.
        """
        return quantize_images(images, self.graph.input_type)

    def predict(self, images: np.ndarray, task: int = 0) -> np.ndarray:
        """The golden model's logits [N, classes] for real images [N, C, H, W], as real numbers.

        They are the accelerator's integers times the output's scale, so equality between levels is exact. Of
        several tasks `task` is asked for; results for each token follow one another.
        """
        name = self.graph.for_task(task).output
        return self.logits(self.quantize_input(images), task) * (self.graph.type_of(name).scale or 1.0)

    def logits(self, integers: np.ndarray, task: int = 0) -> np.ndarray:
        """The golden model's integer logits [N, classes] for quantized images."""
        if not len(integers):
            raise UsageError("at least one image is needed")
        return outputs(self.graph, integers, task=task).reshape(len(integers), -1)

    @property
    def sample_golden(self) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """The first task's integer logits [N, classes] of all samples, and every tensor of the first one.

        They are worked out once, for the design and those that `dataclasses.replace` makes of it.
        """
        known = self._known.get("golden")
        if known is None or known[0] is not self.graph or known[1] is not self.samples:
            images = self.samples.images
            if not len(images):
                raise UsageError("at least one image is needed")
            tensors = evaluate(self.graph, images[0])
            first = tensors[self.graph.for_task(0).output].reshape(1, -1)
            logits = np.concatenate([first, *([self.logits(images[1:])] if len(images) > 1 else [])])
            small = {name: value.astype(np.int16) for name, value in tensors.items()}
            known = self._known["golden"] = (self.graph, self.samples, (logits, small))
        return known[2]

    def trace(self, images: np.ndarray, task: int = 0) -> dict[str, np.ndarray]:
        """Every tensor of the golden model by name, integers [N, ...], for real images [N, C, H, W]."""
        return dict(evaluate(self.graph, self.quantize_input(images), task))

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
        from hlsgen.simulate import simulate

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
        from hlsgen.export import export

        return export(self, board, directory, clock)

    def report(self) -> Report:
        """Figures of the design: accuracy, memories, predicted cycles and utilisation."""
        from hlsgen.report.report import make_report

        return make_report(self)

    def save(self, directory: str | Path) -> Design:
        """Write the build folder; returns the design that lives there. Equal designs give equal bytes."""
        from hlsgen.project import save

        return save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Design:
        """The design of a build folder; raises `UsageError` when it is none or damaged."""
        from hlsgen.project import load

        return load(Path(directory))

    @property
    def rtl_target(self) -> str:
        """What the RTL is made for: the board's kind of device."""
        from hlsgen.boards.board import load_board

        return load_board(self.board).rtl_target

    @cached_property
    def digest(self) -> str:
        """SHA-256 of graph, program and Image, in hexadecimal: what tells one design from another."""
        from hlsgen import graph_file

        return design_digest(graph_file.digest(self.graph), str(self.program).encode(), self.packed_image)

    @cached_property
    def packed_image(self) -> bytes:
        """The Image as the machine reads it."""
        return self.image.pack()


def design_digest(graph: str, program: bytes, image: bytes) -> str:
    """A design's digest from its graph's, the text of its program and its packed Image."""
    parts = graph.encode(), program, image
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
