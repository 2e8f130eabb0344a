# SPDX-License-Identifier: Apache-2.0
"""A compiled model: golden model, program and Image, and all that follows from these alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.boards.read import load_board
from hlsgen.display.html import facts
from hlsgen.errors import UsageError
from hlsgen.ir import Graph, evaluate, quantize_images, results
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program
from hlsgen.store import graph_file
from hlsgen.store.samples import Samples, warn_of_clipped, warn_of_constant


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled model. Every level computes the same integers."""

    graph: Graph
    """The integer Graph: golden."""
    program: Program
    """The commands that the accelerator executes, and its memory map."""
    image: Image
    """The bytes that the accelerator reads, input apart."""
    board: str
    """Name of the board it was compiled for."""
    samples: Samples
    """Images to simulate, with labels and float logits where they are known."""
    notes: Mapping[str, Any]
    """Facts of the compilation for the report, ready for JSON."""
    quantization: Mapping[str, Any] = field(default_factory=dict)
    """The quantizer's report, ready for JSON: range, saturation and noise of every tensor."""
    directory: Path | None = None
    """The build folder, once saved or loaded."""
    _known: dict[str, Any] = field(default_factory=dict, repr=False)
    """Results worked out before, each with the objects that it was made of: copies share them."""

    def __repr__(self) -> str:
        p = self.program.parameters
        return (
            f"{type(self).__name__}({self.notes.get('model', 'model')!r}, board={self.board!r}, "
            f"array={p.rows}x{p.columns}x{p.depth}, commands={len(self.program.commands)}, "
            f"samples={len(self.samples)}, directory={str(self.directory) if self.directory else None!r})"
        )

    def _repr_html_(self) -> str:
        p, graph = self.program.parameters, self.graph
        items = {
            "board": self.board,
            "array": f"{p.rows}x{p.columns}x{p.depth}, {p.lanes:,} products a cycle",
            "input": f"{graph.input} {graph.input_type}",
            **{f"output {name}": graph.type_of(name) for name in dict.fromkeys(graph.outputs)},
            "commands": len(self.program.commands),
            "multiply-accumulates": f"{self.program.macs:,}",
            "Image": f"{self.image.size:,} bytes",
            "samples": len(self.samples),
            "folder": self.directory or "not saved",
        }
        warnings = self.quantization.get("warnings", ())
        return facts(f"{type(self).__name__}: {self.notes.get('model', 'model')}", items, warnings)

    def quantize_input(self, images: np.ndarray) -> np.ndarray:
        """Real images [N, C, H, W], or one [C, H, W], as the integers that the accelerator reads.

        The result is int8 [N, C, H, W]. Raises `UsageError` for another shape or values that are not finite.
        Warns with `ClippedInput` when many pixels are saturated, as `predict` and `trace` do.
        """
        kind = self.graph.input_type
        integers = quantize_images(images, kind).reshape(-1, *kind.shape)
        warn_of_clipped(np.asarray(images), kind)
        return integers

    def predict(self, images: np.ndarray, task: int = 0) -> np.ndarray | dict[str, np.ndarray]:
        """The golden model's logits [N, classes] for real images [N, C, H, W], as real numbers.

        They are the accelerator's integers times the output's scale, so equality between levels is exact.
        `task` chooses the run. An output with a row for each token has all rows one after another. A model
        with several outputs gives all of them, [N, rows, columns], by name. A feature map, or another output
        that is not in the order of tokens, has the model's own shape, [N, C, H, W]. Raises `UsageError` for
        images of another shape, and for a task that is not there. Warns with `ClippedInput` of clipped
        pixels, and with `QuantizationWarning` of an output that is the same for all images.
        """
        integers = quantize_images(images, self.graph.input_type).reshape(-1, *self.graph.input_type.shape)
        warn_of_clipped(np.asarray(images), self.graph.input_type)
        found, scales = self.results(integers, task), self.scales(task)
        warn_of_constant(found, integers)
        real = {name: values * scales[name] for name, values in found.items()}
        shown = self.graph.shown(real, task)
        plain = shown.get("") is real.get("")
        return shown if self.graph.names else shown[""].reshape(len(shown[""]), -1) if plain else shown[""]

    def scales(self, task: int = 0) -> dict[str, float]:
        """The real value of a step of each output of a run, by name; a single output has the name ''."""
        tensors = self.graph.for_task(task).results()
        return {name: self.graph.type_of(tensor).scale or 1.0 for name, tensor in tensors.items()}

    def results(self, integers: np.ndarray, task: int = 0) -> dict[str, np.ndarray]:
        """All outputs of the golden model, integers [N, rows, columns], for quantized images [N, C, H, W].

        By name; a single output has the name ''. Raises `UsageError` without images.
        """
        if not len(integers):
            raise UsageError("at least one image is needed")
        return results(self.graph, integers, task=task)

    def logits(self, integers: np.ndarray, task: int = 0) -> np.ndarray:
        """The golden model's integer logits [N, classes] for quantized images [N, C, H, W].

        Of several outputs it is the first one. Raises `UsageError` without images.
        """
        first = next(iter(self.results(integers, task).values()))
        return first.reshape(len(integers), -1)

    @property
    def sample_golden(self) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]]:
        """The first task's `results` of all samples, and every tensor of the first sample.

        They are worked out once, for the design and for its copies by `dataclasses.replace`.
        """
        known = self._known.get("golden")
        if known is None or known[0] is not self.graph or known[1] is not self.samples:
            images = self.samples.images
            if not len(images):
                raise UsageError("at least one image is needed")
            tensors = evaluate(self.graph, images[0])
            others = self.results(images[1:]) if len(images) > 1 else {}
            found = {
                name: np.concatenate([tensors[tensor][None], *([others[name]] if others else [])])
                for name, tensor in self.graph.for_task(0).results().items()
            }
            small = {name: value.astype(np.int16) for name, value in tensors.items()}
            known = self._known["golden"] = (self.graph, self.samples, (found, small))
        return known[2]

    def trace(self, images: np.ndarray, task: int = 0) -> dict[str, np.ndarray]:
        """Every tensor of the golden model by name, integers [N, ...], for real images [N, C, H, W]."""
        return dict(evaluate(self.graph, self.quantize_input(images), task))

    @property
    def rtl_target(self) -> str:
        """The kind of device that the RTL is made for: `generic`, `ecp5` or `xilinx`."""
        return load_board(self.board).family.rtl_target

    @cached_property
    def digest(self) -> str:
        """SHA-256 of graph, program and Image, in hexadecimal: equal designs have equal digests."""
        return design_digest(graph_file.digest(self.graph), str(self.program).encode(), self.packed_image)

    @cached_property
    def packed_image(self) -> bytes:
        """The Image as the machine reads it."""
        return self.image.pack()


def design_digest(graph: str, program: bytes, image: bytes) -> str:
    """A design's digest from its graph's, the text of its program and its packed Image."""
    parts = graph.encode(), program, image
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
