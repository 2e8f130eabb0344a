# SPDX-License-Identifier: Apache-2.0
"""Where keys and values lie: chosen by what fits the board, or as the user says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.graphs import DIGITS, integer_vit

from hlsgen.boards.read import load_board
from hlsgen.errors import DoesNotFit, UsageError
from hlsgen.fit.estimate import estimate
from hlsgen.fit.place import lower_for
from hlsgen.fit.settings import Settings
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.pipeline import compile as compile_graph

ARRAY = ArrayShape(rows=4, columns=4, depth=8)
MANY_KEYS = replace(DIGITS, image=(1, 64, 64), heads=8, width=256, blocks=1)
"""1,025 tokens of 8 heads: keys and values are the largest memories."""


def test_auto_streams_only_what_does_not_fit() -> None:
    graph, board = integer_vit(MANY_KEYS), load_board("zcu102")
    ring, auto = 256 * 1024, Settings(ring_bytes=256 * 1024, row_width=1)
    blocks = {
        streamed: estimate(
            lower(graph, replace(ARRAY, streamed=streamed, ring_bytes=ring)).program.parameters, board
        ).ram_blocks
        for streamed in (False, True)
    }
    assert blocks[True] < blocks[False]
    small = replace(board, resources=replace(board.resources, ram_blocks=blocks[True]))
    assert not lower_for(graph, ARRAY, board, auto)[0].program.parameters.streamed
    assert lower_for(graph, ARRAY, small, auto)[0].program.parameters.streamed
    with pytest.raises(DoesNotFit, match=f"at most {blocks[True]} RAM blocks"):
        lower_for(graph, ARRAY, small, replace(auto, attention="resident"))
    smaller = replace(board, resources=replace(board.resources, ram_blocks=blocks[True] - 1))
    with pytest.raises(DoesNotFit, match=f"not {blocks[True]}"):
        lower_for(graph, ARRAY, smaller, auto)


def test_the_choice_can_be_forced() -> None:
    graph = integer_vit(DIGITS)
    design = compile_graph(graph, board="kv260", array="4x4x8", attention="streamed", span=2)
    attention = [c for c in design.program.commands if c.span]
    assert [(c.span, c.readings) for c in attention] == [(2, 3), (2, 3)]
    assert design.image.workspace_bytes == design.program.parameters.workspace_bytes > 0


def test_what_can_not_be_is_refused_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        compile_graph(integer_vit(DIGITS), board="ulx3s-85f", attention="streamed", span=-1)
    text = str(caught.value)
    assert "span must be 0" in text
    assert "attention must be resident on ulx3s-85f" in text
    with pytest.raises(UsageError, match="must be one of auto, resident, streamed, not 'both'"):
        compile_graph(integer_vit(DIGITS), attention="both")
