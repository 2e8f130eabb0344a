# SPDX-License-Identifier: Apache-2.0
"""How the input image lies in the machine, so that LOAD finds its patches.

LOAD gathers a patch from lines of pixels, as many at once as divide a patch's width and a word. Where that is
slow, or where patches overlap or leave something out, the image is packed window by window: side by side,
each line of a window in `run` places. LOAD then finds patches of that width in an image of that size. Where
lines are much shorter than a word, as those of 4 x 4 pixels, all lines of a window make one run: to LOAD it
is a patch of one line in an image of one channel.
"""

from __future__ import annotations

import math

from hlsgen.errors import UsageError
from hlsgen.ir import Graph
from hlsgen.lower.layout import Layout
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.input import InputLayout
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.ops import Patches

MOST_GROWTH = 1.5
"""Image memory that windows may take, of that which the image as it is takes, where they need not be."""
MOST_RUN = (1 << FIELD_BITS["patch_width"]) - 1
"""Places of a run."""
SHORT = 4
"""A window is one run where its lines take so many times the reads."""


def uses_image(graph: Graph) -> bool:
    """Whether there are patches."""
    return _patches(graph) is not None


def input_layout(graph: Graph, array: ArrayShape) -> InputLayout:
    """The layout of the image, for the graph's patches on an array."""
    channels, height, width = graph.input_type.shape
    op = _patches(graph)
    run, whole = _run(op, graph, array) if op else (0, False)
    common = {"channels": channels, "height": height, "width": width}
    if op is None or not run:
        return InputLayout(row_words=ceil_div(width, array.columns), **common)
    down, across = op.windows(height, width)
    common |= {"whole": int(whole)}
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
        "patch_height": 1 if layout.whole else op.patch[0],
        "patch_width": layout.run or op.patch[1],
        "patch_channels": 1 if layout.whole else channels,
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
    run = {"run": layout.run, "run_size": op.patch[1]} if layout.run and not layout.whole else {}
    return Layout(size, array.columns, **run)


def _patches(graph: Graph) -> Patches | None:
    """The graph's patches; there is one way in which a model cuts its image."""
    return next((node.op for node in graph if isinstance(node.op, Patches)), None)


def _run(op: Patches, graph: Graph, array: ArrayShape) -> tuple[int, bool]:
    """Places for a line of a window, or for all its pixels; 0: the image is packed as it is."""
    channels, height, width = graph.input_type.shape
    down, across = op.windows(height, width)
    whole = down.count * down.size == height and across.count * across.size == width
    lines, columns = channels * down.size, array.columns

    def reads(size: int, lines: int = lines) -> int:
        return ceil_div(lines * size, columns) * (columns // math.gcd(size, columns))

    def best(size: int, lines: int) -> int:
        sizes = {ceil_div(size, 1 << bit) << bit for bit in range(columns.bit_length())}
        return min(sorted(sizes), key=lambda run: reads(run, lines))

    one, line = best(lines * across.size, 1), best(across.size, lines)
    plain = down.plain and across.plain and whole
    now = across.size if plain else line
    words = down.count * ceil_div(across.count * one, columns)
    room = channels * height * ceil_div(width, columns)
    fits = one <= MOST_RUN and (not plain or words <= MOST_GROWTH * room)
    if fits and SHORT * reads(one, 1) <= min(reads(line), reads(now)):
        return one, True
    if not plain:
        return line, False
    grows = ceil_div(across.count * line, columns) / ceil_div(width, columns)
    return (line if 2 * reads(line) <= reads(across.size) and grows <= MOST_GROWTH else 0), False
