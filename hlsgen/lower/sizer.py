# SPDX-License-Identifier: Apache-2.0
"""The machine that a model needs on any array, without its commands: milliseconds instead of seconds."""

from __future__ import annotations

from hlsgen.ir import Graph
from hlsgen.lower.experts import interleave
from hlsgen.lower.limits import check_limits
from hlsgen.lower.lower import place, size_machine, tensor_layouts
from hlsgen.lower.size import ArrayShape, accumulator_bits
from hlsgen.lower.steps import Matcher
from hlsgen.machine.parameters import MachineParameters


class Sizer:
    """Sizes one integer Graph for many arrays."""

    def __init__(self, graph: Graph) -> None:
        """Raises `UnsupportedModel` as `lower` does."""
        self._graph = graph
        self._steps = Matcher(graph).steps()
        self._accumulator = accumulator_bits(self._steps, graph)

    def parameters(self, array: ArrayShape) -> MachineParameters:
        """What `lower` would size; raises `DoesNotFit` where the machine's limits are exceeded."""
        steps = interleave(self._steps, array)
        layouts = tensor_layouts(steps, self._graph, array)
        regions = place(steps, layouts, array.row_width)
        parameters = size_machine(steps, self._graph, array, layouts, regions, self._accumulator)
        check_limits(self._graph, parameters, regions)
        return parameters
