# SPDX-License-Identifier: Apache-2.0
"""What became of the integers of a model that is quantized already: the part of the report about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.ops import ExpertLinear, GroupedLinear, Linear
from hlsgen.ops.norm import Norm
from hlsgen.quantization.imported import changed, own
from hlsgen.quantization.observers import grid
from hlsgen.quantization.report import ImportReport, Report, WeightsReport
from hlsgen.quantization.rules.rule import INT8, Model

_Layer = Linear | GroupedLinear | ExpertLinear
KEPT = 0.02
"""Largest difference from a weight of the model's own, in steps: the ratio of scales has 15 bits."""
_BEHIND_NORM = "the gamma of %{} became a part of them"
_FLOAT = "they have no int8 scale for each output channel: float weights, or scales along another axis"
_BIAS = "a bias needs a wider scale"


def with_imported(report: Report, graph: Graph, model: Model, integer: Graph) -> Report:
    """The report, for a model with quantizers with a part about them and the warnings that belong to it."""
    if not model.given.imported:
        return report
    scales, chosen = model.given.scales, model.scales
    near = changed(scales, chosen)
    names = {node.name for node in graph}  # others are copies that a form needs
    layers = [node for node in model.graph if isinstance(node.op, _Layer) and node.name in names]
    found = ImportReport(
        theirs=tuple(name for name in scales if name not in near),
        ours=own(model.graph, model.kinds, scales),
        near=near,
        weights=tuple(_weights(node, graph, model, integer) for node in layers),
        left=tuple((quantizer.where, why) for quantizer, why in model.given.left),
    )
    return replace(report, imported=found, warnings=(*report.warnings, *_warnings(found)))


def _weights(node: Node, graph: Graph, model: Model, integer: Graph) -> WeightsReport:
    """How many channels have weights that are whole multiples of the model's own steps."""
    made, real = integer.node(node.name).op, np.asarray(node.op.weight, np.float64)  # type: ignore[attr-defined]
    source, scale = model.scales[node.inputs[0]], model.scales[node.name]
    units = made.multiplier * 2.0 ** -made.shift.astype(np.float64) * scale / source  # type: ignore[attr-defined]
    error = np.abs(made.weight - real / units[..., None]).max(-1)  # type: ignore[attr-defined]
    kept = error < KEPT
    why = "" if kept.all() else _reason(node, graph, real.reshape(-1, real.shape[-1]), kept.reshape(-1))
    return WeightsReport(node.name, kept.size, int(kept.sum()), why)


def _reason(node: Node, graph: Graph, rows: np.ndarray, kept: np.ndarray) -> str:
    makers = {other.name: other for other in graph}
    before = makers.get(node.inputs[0])
    if before is not None and isinstance(before.op, Norm) and np.ptp(before.op.gamma) > 0:
        return _BEHIND_NORM.format(before.name)
    return _FLOAT if (grid(rows[~kept], INT8) == 0).any() else _BIAS


def _warnings(found: ImportReport) -> list[str]:
    """What a user should know at once."""
    again = [item for item in found.weights if item.why]
    gamma = [item for item in again if item.why not in (_FLOAT, _BIAS)]
    scales = len(found.theirs) + len(found.ours)
    others = f"calibration has chosen the others ({_names(found.ours)})"
    own_layers = f"{len(found.weights) - len(again)} of {len(found.weights)} layers have its own weights"
    first = f"the model is quantized already: {len(found.theirs)} of {scales} scales are its own"
    texts = [f"{first}, {others}; {own_layers}"]
    if gamma:
        texts.append(
            f"the weights of {len(gamma)} layers behind norms are rounded again, for gamma became a part of "
            f"them ({_names([item.name for item in gamma])}); multiply gamma into the weights before "
            "quantization to keep its integers"
        )
    other = [item.name for item in again if item not in gamma]
    if other:
        texts.append(
            f"the weights of {len(other)} layers have no integers of the model's that are kept "
            f"({_names(other)}): hlsgen has rounded them; quantize them to int8 by output channel"
        )
    return texts


def _names(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"%{name}" for name in names[:most]) + more
