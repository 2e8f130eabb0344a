# SPDX-License-Identifier: Apache-2.0
"""The scales of a model that is quantized already: which tensors of the folded Graph they belong to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node, walk
from hlsgen.ops import ExpertLinear, GroupedLinear, Linear
from hlsgen.ops.kinds import FloatOp, Kind, placed
from hlsgen.ops.norm import Norm
from hlsgen.quantization.centre import loses
from hlsgen.quantization.observers import grid
from hlsgen.quantization.roles import streams
from hlsgen.quantizers import Fingerprint, Quantizer, fingerprint, probe

NEAR = 1e-4
"""Relative difference below which a scale is the quantizer's: norms and casts have it in 15 bits."""
_NARROW = (Kind.IMAGE, Kind.NARROW, Kind.INDEX)
_FINE = (Kind.LOGITS, Kind.ROUTER)
_WIDE = (Kind.WIDE, Kind.OUTPUT)
_FIX = "quantize it again with symmetric int8 (zero point 0, integers -128..127), or compile the float model"
MOST_STEPS = 127
"""Largest integer of a weight."""
TELLING = 8
"""Elements of a row, but zeros, that lie on a grid by chance only rarely."""
INSIDE = "the machine has no tensor there: it rounds once, at the end of a step"
GAMMA = "the norm's gamma and beta are parts of the layers behind it: its result has a scale of its own"
FINER = "the machine keeps the tensor in 16 bits"
SOFTMAX = "the machine's softmax has integers of its own, 0..255 of the row's largest"
NEARER = "another quantizer stands nearer to what reads the tensor"
TOO_FINE = "its integers are wider than the machine's"


@dataclass(frozen=True)
class Given:
    """Scales by tensor, and the quantizers that have none: each with its reason."""

    quantizers: Mapping[str, Quantizer] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    """What a tensor loses, so that its quantizer's zero point is 0: for `centre.without`."""
    left: tuple[tuple[Quantizer, str], ...] = ()
    imported: bool = False
    """Whether the model had quantizers; weights on a grid of integers then keep it."""


def given(graph: Graph, folded: Graph, kinds: Mapping[str, Kind]) -> Given:
    """What the quantizers of `graph` say of the tensors of `folded`.

    Raises `UnsupportedModel` with every quantizer that the machine can't hold.
    """
    if not graph.quantizers:
        return Given()
    tensors = _fingerprints(folded, (node.name for node in folded if not placed(node.op).moves()))
    normed = _fingerprints(graph, (node.name for node in graph if isinstance(node.op, Norm)))
    return _Matching(graph, folded, kinds, tensors, normed).run()


def _fingerprints(graph: Graph, names: Iterable[str]) -> dict[str, Fingerprint]:
    """Of some tensors and of the image, in the graph's order."""
    wanted, image = {graph.input, *names}, probe(graph.input_type.shape)
    found: dict[str, Fingerprint] = {}
    for task in range(graph.tasks):
        with np.errstate(all="ignore"):
            for name, value in walk(graph, image, task):
                mark = fingerprint(value) if name in wanted and name not in found else None
                if mark is not None:
                    found[name] = mark
    return found


class _Matching:
    """Quantizers and tensors, brought together."""

    def __init__(
        self,
        graph: Graph,
        folded: Graph,
        kinds: Mapping[str, Kind],
        tensors: Mapping[str, Fingerprint],
        normed: Mapping[str, Fingerprint],
    ) -> None:
        self.graph, self.folded, self.kinds = graph, folded, kinds
        self.tensors, self.normed = tensors, normed
        self.quantizers: dict[str, Quantizer] = {}
        self.scales: dict[str, float] = {}
        self.constants: dict[str, float] = {}
        self.reasons: dict[int, str] = {}
        """Why a quantizer is left out, by its place in the model."""
        self.problems: list[Problem] = []

    def run(self) -> Given:
        matches: dict[str, list[tuple[int, float]]] = {}
        for index, quantizer in enumerate(self.graph.quantizers):
            found = _matches(quantizer, self.tensors)
            for name, factor in found.items():
                matches.setdefault(name, []).append((index, factor))
            if not found:
                self.reasons[index] = GAMMA if _matches(quantizer, self.normed) else INSIDE
        held = {index for name, found in matches.items() if (index := self._tensor(name, found)) is not None}
        self.problems += [*self._shared(), *map(_wide_weights, self._layers())]
        if self.problems:
            raise UnsupportedModel(self.problems, code=Code.IMPORTED)
        left = tuple(
            (quantizer, self.reasons.get(index, NEARER))
            for index, quantizer in enumerate(self.graph.quantizers)
            if index not in held
        )
        return Given(self.quantizers, self.scales, self.constants, left, imported=True)

    def _layers(self) -> list[Node]:
        """Layers whose weights are whole multiples of a step, but of more of them than int8 has."""
        layers = [node for node in self.graph if isinstance(node.op, Linear | GroupedLinear | ExpertLinear)]
        return [node for node in layers if _reaches_beyond(node.op.weight)]  # type: ignore[attr-defined]

    def _tensor(self, name: str, found: list[tuple[int, float]]) -> int | None:
        """Take the last of a tensor's quantizers, the one nearest to its readers; None: none is held."""
        index, factor = found[-1]
        quantizer, kind = self.graph.quantizers[index], self.kinds[name]
        reason = _unheld(quantizer, kind)
        if reason:
            self.reasons.update(dict.fromkeys((each for each, _ in found), reason))
            return None
        moved = self._shift(name, quantizer)
        unfit = "" if moved else _unfit(quantizer, kind)
        if unfit:
            if index not in self.reasons:  # a tensor may be there in several forms
                self.problems.append(self._problem(name, quantizer, unfit))
            self.reasons[index] = unfit
            return None
        self.quantizers[name], self.scales[name] = quantizer, quantizer.scale * factor
        if moved:
            self.constants[name] = -moved * quantizer.scale * factor
        return index

    def _shift(self, name: str, quantizer: Quantizer) -> int:
        """The zero point that the tensor takes by losing a constant, in integers of -128..127; 0: none."""
        if quantizer.bits != 8 or quantizer.high - quantizer.low != 255 or name == self.folded.input:
            return 0
        may = self.kinds[name] in (Kind.NARROW, Kind.INDEX) and loses(self.folded, self.folded.node(name))
        return quantizer.zero - quantizer.low - 128 if may else 0

    def _problem(self, name: str, quantizer: Quantizer, why: str) -> Problem:
        where = quantizer.where
        if name != self.folded.input:
            where = str(self.folded.node(name).source) or where
        return Problem(
            f"%{name}: the model's quantizer can't be held: {quantizer}",
            where=where,
            why=why,
            fix=_FIX,
            name="quantizer",
            code=Code.IMPORTED,
        )

    def _shared(self) -> list[Problem]:
        """Quantizers of 16 bits that differ where the machine has one scale."""
        problems = []
        for members in streams(self.folded, dict(self.kinds)):
            scales = {name: self.scales[name] for name in members if name in self.scales}
            if not scales:
                continue
            least, most = min(scales.values()), max(scales.values())
            if most > least * (1 + NEAR):
                few = min(scales, key=scales.__getitem__)
                why = (
                    f"%{max(scales, key=scales.__getitem__)} has {most:.4g}, and what is added shares a scale"
                )
                problems.append(self._problem(few, self.quantizers[few], why))
            # Additions have no scale of their own.
            self.scales.update(dict.fromkeys(members, most))
        return problems


def _matches(quantizer: Quantizer, tensors: Mapping[str, Fingerprint]) -> dict[str, float]:
    """The tensors that a quantizer is on, and what each is over the quantizer's own tensor."""
    found = {}
    for name, mark in tensors.items():
        factors = (mark.factor(other) for other in quantizer.seen)
        factor = next((item for item in factors if item is not None), None)
        if factor is not None:
            found[name] = factor
    return found


def _unheld(quantizer: Quantizer, kind: Kind) -> str:
    """Why a quantizer is left out although the machine has its tensor; the machine's integers are finer."""
    if kind in (Kind.NUMERATOR, Kind.ROUTING):
        return SOFTMAX
    if kind in _WIDE and quantizer.bits < 16:
        return FINER
    if kind in _FINE and quantizer.bits > 8:
        return TOO_FINE
    return ""


def _unfit(quantizer: Quantizer, kind: Kind) -> str:
    """Why the machine can't hold a quantizer; a shift of all logits changes no softmax.

    0..255 around a zero point of 128 are the machine's integers, each with 128 more.
    """
    if kind in _FINE:
        return ""
    half = 1 << (7 if kind in _NARROW else 15)
    low, high = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    if high == half - 1 and low in (-half, 1 - half):
        return ""
    if quantizer.zero:
        return "the machine's integers are symmetric: zero is 0"
    return f"the machine has integers {-half}..{half - 1} there"


def _reaches_beyond(weight: np.ndarray) -> bool:
    rows = np.asarray(weight, np.float64).reshape(-1, weight.shape[-1])
    off = rows[(grid(rows, MOST_STEPS) == 0) & ((rows != 0).sum(-1) >= TELLING)]
    return bool((grid(off, 2 * MOST_STEPS + 1) > 0).any())


def _wide_weights(node: Node) -> Problem:
    return Problem(
        f"%{node.name}: the integers of its weights must be within -{MOST_STEPS}..{MOST_STEPS}",
        where=str(node.source),
        why="they have a zero point, or the integer -128",
        fix="quantize weights symmetrically, with a narrow range: onnxruntime's WeightSymmetric",
        name="quantizer",
        code=Code.IMPORTED,
    )


def own(graph: Graph, kinds: Mapping[str, Kind], scales: Mapping[str, float]) -> tuple[str, ...]:
    """Tensors of the folded graph whose scale calibration chooses, one of each stream."""
    shared = {name: members[0] for members in streams(graph, dict(kinds)) for name in members}
    names = [graph.input, *(node.name for node in graph if _has_scale(node, kinds[node.name]))]
    return tuple(dict.fromkeys(shared.get(name, name) for name in names if name not in scales))


def _has_scale(node: Node, kind: Kind) -> bool:
    fixed = kind in (Kind.NUMERATOR, Kind.ROUTING)
    return isinstance(node.op, FloatOp) and not fixed and not node.op.moves()


def changed(scales: Mapping[str, float], chosen: Mapping[str, float]) -> tuple[str, ...]:
    """Tensors whose scale is not the given one after all: a rule of their op allows others only."""
    return tuple(
        name for name, scale in scales.items() if not math.isclose(scale, chosen[name], rel_tol=NEAR)
    )
