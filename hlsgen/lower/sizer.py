# SPDX-License-Identifier: Apache-2.0
"""The machine that a model needs on any array, without its commands: milliseconds instead of seconds."""

from __future__ import annotations

from hlsgen.ir import Graph
from hlsgen.lower.lower import Lowered, lower, prepare
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.parameters import MachineParameters


class Sizer:
    """Sizes one integer Graph for many arrays."""

    def __init__(self, graph: Graph) -> None:
        """Raises `UnsupportedModel` as `lower` does."""
        self._prepared = prepare(graph)

    @property
    def graph(self) -> Graph:
        """The integer Graph that is sized."""
        return self._prepared.graph

    def parameters(self, array: ArrayShape) -> MachineParameters:
        """What `lower` would size; raises `DoesNotFit` where the machine's limits are exceeded."""
        return self._prepared.machine(array).parameters

    def outline(self, array: ArrayShape) -> Lowered:
        """What `lower` would make, but with zeros for weights: enough for the cycle model."""
        return lower(self._prepared, array, outline=True)

    def lower(self, array: ArrayShape, machine: MachineParameters | None = None) -> Lowered:
        """What `lower` makes, without looking at the Graph once more."""
        return lower(self._prepared, array, machine)
