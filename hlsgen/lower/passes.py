# SPDX-License-Identifier: Apache-2.0
"""The passes of lowering, in order, with what they give to one another."""

from __future__ import annotations

from hlsgen.ir import Graph
from hlsgen.lower.cover.cover import cover
from hlsgen.lower.homes import homes
from hlsgen.lower.legalise.align import align
from hlsgen.lower.legalise.expand import expand
from hlsgen.lower.order import order
from hlsgen.lower.step import Step


def run(graph: Graph, row_width: int = 1) -> tuple[Graph, list[Step]]:
    graph = expand(align(graph, row_width), row_width)
    return graph, order(homes(cover(graph), graph))
