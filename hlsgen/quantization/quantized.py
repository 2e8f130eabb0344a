# SPDX-License-Identifier: Apache-2.0
"""Quantization from end to end."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from hlsgen.display.html import count, facts, table
from hlsgen.errors import QuantizationWarning, UsageError
from hlsgen.ir import Graph, quantize_images
from hlsgen.quantization.apart import with_outliers_apart
from hlsgen.quantization.calibrate import Data, first_batch, observe, sample_size
from hlsgen.quantization.centre import centre, without
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.factors import with_factors
from hlsgen.quantization.fold import fold
from hlsgen.quantization.imported import given
from hlsgen.quantization.imports import with_imported
from hlsgen.quantization.measure import dequantize, measure
from hlsgen.quantization.moments import with_moments
from hlsgen.quantization.report import Report
from hlsgen.quantization.rewrite import rewrite
from hlsgen.quantization.roles import kinds
from hlsgen.quantization.scales import assign, averaged, counted
from hlsgen.quantization.threads import one_thread

DEFAULT = QuantizeConfig()


@dataclass(frozen=True, repr=False)
class Quantized:
    """A quantized model: the integer graph, what it was made from, and how good it is."""

    graph: Graph
    """The integer Graph."""
    reference: Graph
    """The float Graph with the same tensor names: see `fold`, and `_moved` for what the config asks for."""
    report: Report
    """Range, scale, saturation and noise of every tensor."""

    def __repr__(self) -> str:
        warned = f", {count(len(self.report.warnings), 'warning')}" if self.report.warnings else ""
        return f"Quantized({count(len(self.graph.nodes), 'node')}; {self._quality()}{warned})"

    def _quality(self) -> str:
        """The noise of the first output."""
        row = self.report.tensor(self.graph.output)
        centred = "" if row.centred_db is None else f", {row.centred_db:.1f} dB centred"
        images = count(self.report.images, "calibration image")
        return f"{row.name}: {row.sqnr_db:.1f} dB{centred}, by {images}"

    def _repr_html_(self) -> str:
        items = {"nodes": len(self.graph.nodes), "output": self._quality()}
        rows = [
            (row.name, row.op, row.bits, f"{row.scale:.4g}", row.saturated, f"{row.sqnr_db:.1f}",
             "" if row.centred_db is None else f"{row.centred_db:.1f}")
            for row in self.report.tensors
        ]  # fmt: skip
        head = ("tensor", "op", "bits", "scale", "saturated", "noise, dB", "centred, dB")
        return facts("Quantized", items, self.report.warnings) + table(head, rows)

    def quantize_input(self, images: ArrayLike) -> np.ndarray:
        """Real images [N, C, H, W], or one, as int8: see `hlsgen.ir.quantize_images`.

        Raises `UsageError` for another shape or values that are not finite numbers.
        """
        return quantize_images(images, self.graph.input_type)

    def dequantize(self, name: str, array: ArrayLike) -> np.ndarray:
        """Integers of tensor `name` -> floats; rows of a softmax are divided by their sums.

        Raises `UsageError` for a name that the graph has not.
        """
        ops = {node.name: node.op for node in self.graph}
        if name not in ops and name != self.graph.input:
            raise UsageError(f"tensor must be one of {', '.join([self.graph.input, *ops])}, not {name!r}")
        return dequantize(ops.get(name), self.graph.type_of(name), np.asarray(array))


def _moved(graph: Graph, images: np.ndarray, config: QuantizeConfig) -> Graph:
    """The folded graph, an equal one as the config asks for it."""
    with one_thread():
        graph = with_outliers_apart(graph, images, config.batch) if config.outliers_apart else graph
        graph = centre(graph, images, config) if config.centred else graph
        if config.norm_factors == "off":
            return graph
        return with_factors(graph, images, config.norm_factors, config.batch)


def quantize(graph: Graph, calibration: Data, config: QuantizeConfig = DEFAULT) -> Quantized:
    """Turn a float graph into an integer graph.

    Parameters
    ----------
    graph
        The front end's float Graph.
    calibration
        Images [N, C, H, W], or an iterable of such arrays that is read once; prepared as for the model.
    config
        Observers and widths. Tensors with a quantizer of the model's own need none; then nothing is
        centred or split, and norms have no factors.

    Raises `UnsupportedModel` for graphs that have no integer form and `CalibrationError` for unusable data.
    What its user should know stands in the report's `warnings`, and is warned of as `QuantizationWarning`.
    """
    if graph.quantizers:  # they are on the tensors as the model has them, with all constants
        config = replace(config, centred=False, norm_factors="off", outliers_apart=False)
    reference = fold(graph)
    kind = kinds(reference)
    if config.centred or config.outliers_apart or config.norm_factors != "off":
        images, calibration = first_batch(calibration, graph.input_type.shape, config.batch)
        reference = reference if images is None else _moved(reference, images, config)
        kind = kinds(reference)
    measured = sample_size(reference, config.measured_images)
    own = given(graph, reference, kind)
    reference = without(reference, own.constants) if own.constants else reference
    needed = counted(reference, kind, config, own)
    with one_thread():
        seen = observe(
            reference, kind, calibration, config.batch, measured, needed, averaged(reference, config),
            config.depth,
        )  # fmt: skip
        model = with_moments(assign(reference, kind, seen, config, own), seen.sample, config.batch)
        integer = rewrite(model)
        report = measure(reference, integer, seen, config.batch)
        report = with_imported(report, graph, model, integer)
    for text in report.warnings:
        warnings.warn(text, QuantizationWarning, stacklevel=3)
    return Quantized(integer, reference, report)
