# SPDX-License-Identifier: Apache-2.0
"""Warnings about a quantized model: each sentence says what, why and what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hlsgen.ir import Graph, TensorType
from hlsgen.ops import ExpertLinear, IntegerExpertLinear, IntegerLinear, Linear
from hlsgen.ops.kinds import placed
from hlsgen.quantization.noise import decibels
from hlsgen.quantization.report import TensorReport
from hlsgen.quantization.routing import RoutingReport

NOISY_DB = 20.0
"""An output with less signal to quantization noise gets a warning."""
CENTRED_DB = 10.0
"""The same of what differs between images. Digits have 40 dB, DeiT-Tiny and ViT-B with random weights 16; at
10 dB the noise has a third of the signal's amplitude, and classes begin to change."""
FEWEST_CLASSES, AGREEMENT = 16, 0.9
"""A smaller share of images with the float model's class gets a warning, where there are images enough and
noise is the reason: random weights give logits so near each other that even 20 dB exchange the first two."""
CLIPPED = 0.01
"""A larger share of pixels beyond the input range gets a warning; the `mse` observer itself cuts off less."""
NAMED = 5


def output_warnings(
    rows: Sequence[TensorReport], output: str, golden: np.ndarray, reference: np.ndarray
) -> list[str]:
    """Integers and floats of one output for all measured images, [N, tokens, classes]."""
    last = next(row for row in rows if row.name == output)
    constant = _constant(output, golden, reference)
    found = (
        [constant]
        if constant
        else [_noisy(rows, last), _hidden(rows, last), _disagreeing(last, golden, reference)]
    )
    return [text for text in found if text]


def _constant(output: str, golden: np.ndarray, reference: np.ndarray) -> str:
    """Integers that are one and the same for every image."""
    count = len(golden)
    if not golden.any() and reference.any():
        return (
            f"%{output} is zero for all {count} measured images, in the float model up to "
            f"{np.abs(reference).max():.3g}; try calibration images that are like those in use"
        )
    if count < 2 or (golden != golden[0]).any():
        return ""
    if (reference == reference[0]).all():
        return (
            f"%{output} is the same for all {count} measured images, in the float model too; "
            "try calibration images that differ"
        )
    return (
        f"%{output} is the same for all {count} measured images, but not in the float model: "
        "quantization has lost what differs between them; look for the first tensor of low centred dB in "
        "the report and try another observer or more bits there"
    )


def _noisy(rows: Sequence[TensorReport], last: TensorReport) -> str:
    if last.sqnr_db >= NOISY_DB:
        return ""
    noisy = next(row for row in rows if row.sqnr_db < NOISY_DB)
    return (
        f"the output lies only {last.sqnr_db:.1f} dB above its quantization error; the first tensor below "
        f"{NOISY_DB:.0f} dB is %{noisy.name}: {_try(noisy)}"
    )


def _hidden(rows: Sequence[TensorReport], last: TensorReport) -> str:
    if last.centred_db is None or last.centred_db >= CENTRED_DB:
        return ""
    low = next(row for row in rows if row.centred_db is not None and row.centred_db < CENTRED_DB)
    return (
        f"of what differs between images %{last.name} keeps only {last.centred_db:.1f} dB above its "
        f"quantization error ({last.sqnr_db:.1f} dB with what all images share); the first tensor below "
        f"{CENTRED_DB:.0f} dB is %{low.name}: a part that is large and the same for all images takes the "
        f"integers' range there; {_try(low)}, or train without such outliers"
    )


def _disagreeing(last: TensorReport, golden: np.ndarray, reference: np.ndarray) -> str:
    decibel = last.sqnr_db if last.centred_db is None else last.centred_db
    same = golden.argmax(-1) == reference.argmax(-1)
    if reference.shape[-1] < 2 or not differing(int(same.sum()), same.size, decibel):
        return ""
    return (
        f"%{last.name} gives the float model's class in only {int(same.sum())} of {same.size} cases; try "
        "more calibration images, or another observer for the tensors of the lowest centred dB in the report"
    )


def differing(same: int, images: int, decibel: float) -> bool:
    """Whether `same` of `images` classes are too few; `decibel`: the logits', centred if that is known."""
    return images >= FEWEST_CLASSES and decibel < NOISY_DB and same < AGREEMENT * images


def agreement_warning(found: np.ndarray, reference: np.ndarray, what: str) -> str:
    """What to say of real logits [N, classes] that give the float model's class too seldom; else nothing."""
    same, error = int((found.argmax(-1) == reference.argmax(-1)).sum()), found - reference
    decibel = decibels(reference - reference.mean(0), error - error.mean(0))
    if found.shape[-1] < 2 or decibel is None or not differing(same, len(found), decibel):
        return ""
    return few_as_float(same, len(found), what)


def few_as_float(same: int, images: int, what: str) -> str:
    """The sentence about too few classes as in the float model."""
    return (
        f"the integer model gives the float model's class of only {same} of {images} {what}; try more "
        "calibration images that are like them, and see `hlsgen report` for the tensors of the lowest "
        "centred dB"
    )


def _try(row: TensorReport) -> str:
    if row.op in ("IntegerScores", "IntegerMixedScores"):
        return f"try QuantizeConfig(logit_width=12) or overrides={{'{row.name}': 'mse'}}"
    if row.bits > 8:
        return "try calibration images that are like those in use"
    return f"try QuantizeConfig(overrides={{'{row.name}': 'min-max'}}) or 'percentile:99.9'"


def silent_warning(reference: Graph, largest: Mapping[str, float]) -> str:
    """Tensors that no calibration image makes differ from zero, where the model's weights do not say so."""
    zero = {name for name, value in largest.items() if value == 0.0}
    found = [reference.input] if reference.input in zero else []
    for node in reference:
        moved = placed(node.op).moves()
        if node.name not in zero or moved or any(name in zero for name in node.inputs):
            continue
        dead = isinstance(node.op, Linear | ExpertLinear) and not (node.op.weight.any() or node.op.bias.any())
        found += [] if dead else [node.name]
    if not found:
        return ""
    return (
        f"no calibration image makes {_names(found)} differ from zero: the range in use is unknown; "
        "try calibration images that are like those in use"
    )


def lost_warning(rows: Sequence[TensorReport], lost: Sequence[str], images: int) -> str:
    """Tensors that are not zero in the float model, but in integers: below half a step."""
    if not lost:
        return ""
    first = next(row for row in rows if row.name == lost[0])
    return (
        f"zero in integers on all {images} measured images, but not in the float model: {_names(lost)}; "
        f"the values of %{first.name}, up to {max(-first.low, first.high):.3g}, lie below half a step of "
        f"{first.scale:.3g}; check these layers' weights: pruned ones may be removed, others scaled up"
    )


def channel_warning(reference: Graph, integer: Graph) -> str:
    """Layers with channels whose weights all became zero although the float ones are not."""
    found = []
    for node, real in zip(integer, reference, strict=True):
        if isinstance(node.op, IntegerLinear | IntegerExpertLinear) and isinstance(
            real.op, Linear | ExpertLinear
        ):
            empty = ~node.op.weight.any(-1)
            if empty.any():
                lost = int((real.op.weight.any(-1) & empty).sum())
                found += [f"{lost} of {empty.size} channels of %{node.name}"] if lost else []
    if not found:
        return ""
    return (
        f"the weights of {_list(found)} became zero: all they add lies below half a step of the result; "
        "check these layers' weights: pruned channels may be removed, others scaled up"
    )


def routing_warnings(routing: Sequence[RoutingReport]) -> list[str]:
    """Experts that the calibration images say nothing about."""
    names = dict.fromkeys(item.name for item in routing)
    load = {name: np.sum([item.load for item in routing if item.name == name], 0) for name in names}
    unused = {name: np.flatnonzero(counts == 0).tolist() for name, counts in load.items()}
    return [
        f"no calibration image uses experts {', '.join(map(str, experts))} of %{name}"
        for name, experts in unused.items()
        if experts
    ]


def clip_warning(images: np.ndarray, input_type: TensorType, what: str) -> str:
    """Real images [N, C, H, W] that leave the range calibration found."""
    low, high = input_type.integer_range
    scale = input_type.scale or 1.0
    outside = (images > (high + 0.5) * scale) | (images < (low - 0.5) * scale)
    share = float(outside.mean()) if images.size else 0.0
    if share <= CLIPPED:
        return ""
    return (
        f"{100 * share:.1f} % of the pixels of {what} lie outside the calibrated input range "
        f"{low * scale:.4g}..{high * scale:.4g} and are clipped; try calibration images that are like them, "
        "or prepare both alike (the same normalisation)"
    )


def _names(names: Sequence[str]) -> str:
    return _list([f"%{name}" for name in names])


def _list(parts: Sequence[str]) -> str:
    more = len(parts) - NAMED
    return ", ".join(parts[:NAMED]) + (f" and {more} more" if more > 0 else "")
