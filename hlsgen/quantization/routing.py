# SPDX-License-Identifier: Apache-2.0
"""How the integer model routes tokens, beside the float model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hlsgen.display.share import Share
from hlsgen.ir import Graph
from hlsgen.ops import Activation, ExpertLinear, IntegerRoute, IntegerTable, Route
from hlsgen.ops.route import split

NEAR = 2.0


@dataclass(frozen=True)
class RoutingReport:
    """One routing of one task on the measured images.

    agreeing: tokens whose experts are those of the float model, in any order. load: tokens by expert, in the
    integer model. At the border are the logits of the last expert chosen and of the first one left out. ties:
    tokens whose integers there are equal, so that the expert of the smaller number is chosen. near: tokens
    whose float logits there differ by less than `NEAR` times the root mean square of a logit's error;
    near_others: those of them whose experts are not the float model's.
    """

    name: str
    task: int
    tokens: int
    agreeing: int
    load: tuple[int, ...]
    ties: int = 0
    near: int = 0
    near_others: int = 0

    @property
    def agreement(self) -> str:
        """How the tokens go, in words; the interval holds 95 %."""
        return (
            f"{Share(self.agreeing, self.tokens)} of the tokens go where the float model sends them, and "
            f"of the {self.tokens - self.agreeing} others {self.near_others} are near-ties; "
            f"{self.near} near-ties, {self.ties} ties of integers"
        )

    @property
    def unused(self) -> tuple[int, ...]:
        """Experts that no token went to."""
        return tuple(index for index, count in enumerate(self.load) if not count)


class RoutingCount:
    """Counts over batches."""

    def __init__(self, graph: Graph, name: str, task: int) -> None:
        """Of the routing `name` of a task's integer Graph."""
        self._name, self._task = name, task
        self.logits = graph.node(name).inputs[0]
        """The tensor that it chooses from."""
        kind = graph.type_of(self.logits)
        self._scale = kind.scale or 1.0
        self._load = np.zeros(kind.shape[-1], np.int64)
        self._ties, self._squares = 0, 0.0
        self._same: list[np.ndarray] = []
        self._borders: list[np.ndarray] = []

    def update(self, routes: tuple[np.ndarray, np.ndarray], logits: tuple[np.ndarray, np.ndarray]) -> None:
        """Take routings [N, T, 2k], and the logits [N, T, experts] that they choose from, of both models."""
        chosen, wanted = (split(route)[0] for route in routes)
        k, (golden, real) = chosen.shape[-1], logits
        self._same.append((np.sort(chosen, -1) == np.sort(wanted, -1)).all(-1).reshape(-1))
        self._load += np.bincount(chosen.reshape(-1), minlength=len(self._load))
        self._ties += int((_border(golden, k) == 0).sum())
        self._squares += float(np.square(golden * self._scale - real).sum())
        self._borders.append(_border(real, k))

    def report(self) -> RoutingReport:
        """The sums."""
        same = np.concatenate(self._same or [np.zeros(0, bool)])
        border = np.concatenate(self._borders or [np.zeros(0)])
        near = border < NEAR * math.sqrt(self._squares / max(len(same) * len(self._load), 1))
        return RoutingReport(
            self._name,
            self._task,
            tokens=len(same),
            agreeing=int(same.sum()),
            load=tuple(self._load.tolist()),
            ties=self._ties,
            near=int(near.sum()),
            near_others=int((near & ~same).sum()),
        )


def _border(logits: np.ndarray, k: int) -> np.ndarray:
    """The last chosen logit less the first one left out, of each token; infinity where all are chosen."""
    rows = logits.reshape(-1, logits.shape[-1])
    if k == rows.shape[-1]:
        return np.full(len(rows), np.inf)
    ordered = np.partition(rows, (-k - 1, -k), -1)
    return ordered[:, -k] - ordered[:, -k - 1]


def routed_by(graph: Graph) -> dict[str, str]:
    """Tensors with a row for each token and choice -> the routing that orders them, itself included."""
    found: dict[str, str] = {}
    for node in graph:
        if isinstance(node.op, IntegerRoute | Route):
            found[node.name] = node.name
        elif isinstance(node.op, ExpertLinear):
            found[node.name] = node.inputs[1]
        elif isinstance(node.op, Activation | IntegerTable) and node.inputs[0] in found:
            found[node.name] = found[node.inputs[0]]
    return found


def same_choices(golden: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Whether choice j of a token is the same expert in both routings [..., T, 2k]; [..., T, k]."""
    return split(golden)[0] == split(reference)[0]
