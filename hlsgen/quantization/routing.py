# SPDX-License-Identifier: Apache-2.0
"""How the integer model routes tokens, beside the float model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.ir import Graph
from hlsgen.ops import Activation, ExpertLinear, IntegerRoute, IntegerTable, Route
from hlsgen.ops.route import split


@dataclass(frozen=True)
class RoutingReport:
    """One routing of one task on the measured images.

    agreeing: tokens whose experts are those of the float model, in any order. load: tokens by expert, in the
    integer model.
    """

    name: str
    task: int
    tokens: int
    agreeing: int
    load: tuple[int, ...]

    @property
    def unused(self) -> tuple[int, ...]:
        """Experts that no token went to."""
        return tuple(index for index, count in enumerate(self.load) if not count)


class RoutingCount:
    """Counts over batches."""

    def __init__(self, name: str, task: int, experts: int) -> None:
        self._name, self._task = name, task
        self._tokens = self._agreeing = 0
        self._load = np.zeros(experts, np.int64)

    def update(self, golden: np.ndarray, reference: np.ndarray) -> None:
        """Take routings [N, T, 2k] of both models."""
        chosen, wanted = split(golden)[0], split(reference)[0]
        same = (np.sort(chosen, -1) == np.sort(wanted, -1)).all(-1)
        self._tokens += same.size
        self._agreeing += int(same.sum())
        self._load += np.bincount(chosen.reshape(-1), minlength=len(self._load))

    def report(self) -> RoutingReport:
        """The sums."""
        load = tuple(int(count) for count in self._load)
        return RoutingReport(self._name, self._task, self._tokens, self._agreeing, load)


def experts_of(graph: Graph, name: str) -> int:
    """How many experts the routing `name` chooses from."""
    return graph.type_of(graph.node(name).inputs[0]).shape[-1]


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
