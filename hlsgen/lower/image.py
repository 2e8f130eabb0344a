# SPDX-License-Identifier: Apache-2.0
"""How the input image lies in the machine, so that LOAD finds its patches.

LOAD gathers a patch from lines of pixels, as many at once as divide a patch's width and a word. Where that is
slow, or where patches overlap or leave something out, the image is packed window by window: side by side,
each line of a window in `run` places. LOAD then finds patches of that width in an image of that size.
"""

from __future__ import annotations

import math

from hlsgen.errors import UsageError
from hlsgen.ir import Graph
from hlsgen.lower.layout import Layout
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.format.program import InputLayout
from hlsgen.ops import Patches


def uses_image(graph: Graph) -> bool:
    """Whether there are patches."""
    return _patches(graph) is not None


def input_layout(graph: Graph, array: ArrayShape) -> InputLayout:
    """The layout of the image, for the graph's patches on an array."""
    channels, height, width = graph.input_type.shape
    op = _patches(graph)
    run = _run(op, graph, array) if op else 0
    common = {"channels": channels, "height": height, "width": width}
    if op is None or not run:
        return InputLayout(row_words=ceil_div(width, array.columns), **common)
    down, across = op.windows(height, width)
    return InputLayout(
        row_words=ceil_div(across.count * run, array.columns), run=run, rows=down.count, columns=across.count,
        patch_height=down.size, patch_width=across.size, down=down.step, across=across.step,
        top=down.edge, left=across.edge, **common,
    )  # fmt: skip


def patch_fields(op: Patches, graph: Graph, array: ArrayShape) -> dict[str, int]:
    """What a command needs to read patches."""
    channels, height, width = graph.input_type.shape
    layout = input_layout(graph, array)
    return {
        "patch_height": op.patch[0],
        "patch_width": layout.run or op.patch[1],
        "patch_channels": channels,
        "patch_columns": op.windows(height, width)[1].count,
        "patch_prefix": op.prefix,
        "row_words": layout.row_words,
    }


def patch_layout(graph: Graph, array: ArrayShape) -> Layout:
    """The layout of a patch as an operand row."""
    op, layout = _patches(graph), input_layout(graph, array)
    if op is None:
        raise UsageError("patch_layout: the graph must have patches")
    size = layout.channels * math.prod(op.patch)
    run = {"run": layout.run, "run_size": op.patch[1]} if layout.run else {}
    return Layout(size, array.columns, **run)


def _patches(graph: Graph) -> Patches | None:
    """The graph's patches; there is one way in which a model cuts its image."""
    return next((node.op for node in graph if isinstance(node.op, Patches)), None)


def _run(op: Patches, graph: Graph, array: ArrayShape) -> int:
    """Places for a line of a window; 0: the image is packed as it is."""
    channels, height, width = graph.input_type.shape
    down, across = op.windows(height, width)
    lines, columns = channels * down.size, array.columns
    sizes = {ceil_div(across.size, 1 << bit) << bit for bit in range(columns.bit_length())}

    def reads(size: int) -> int:
        return ceil_div(lines * size, columns) * (columns // math.gcd(size, columns))

    best = min(sorted(sizes), key=reads)
    whole = down.count * down.size == height and across.count * across.size == width
    if down.plain and across.plain and whole:
        return best if 2 * reads(best) <= reads(across.size) else 0
    return best
