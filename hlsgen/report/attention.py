# SPDX-License-Identifier: Apache-2.0
"""Attention masks in the report: which keys a query sees, and which keys its tile reads."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from hlsgen.machine.format.interface import DRAIN, SCORES, key_runs, shown_places, window_places
from hlsgen.machine.format.program import Program, View
from hlsgen.ops.score_bias import is_seen, pattern

if TYPE_CHECKING:
    from hlsgen.store.compiled import Compiled

MOST_PAIRS = 1 << 20
"""Queries times keys of a mask that the page carries; of larger ones it shows what tiles read."""
Part = tuple[int, int, int, int]
"""First row, rows, first key, keys."""


def attention_figures(design: Compiled) -> list[dict[str, Any]]:
    """Each different mask with the scores that have it, and the keys that each command reads for its rows.

    A mask [queries, keys] is a bit for each pair, 1 where the query sees the key.
    """
    p, found = design.program.parameters, {}
    for node in design.graph:
        addends = getattr(node.op, "addends", None)
        if addends is None or is_seen(addends).all():
            continue
        for head, seen in enumerate(is_seen(addends)):
            parts = tuple(_parts(design.program, node.name, head))
            key = seen.tobytes(), seen.shape, parts
            entry = found.setdefault(key, _figure(seen, parts))
            entry["scores"].setdefault(node.name, []).append(head)
    return [entry | {"rows": p.rows, "columns": p.columns} for entry in found.values()]


def _figure(seen: np.ndarray, parts: tuple[Part, ...]) -> dict[str, Any]:
    queries, keys = seen.shape
    small = seen.size <= MOST_PAIRS
    read = sum(rows * count for _, rows, _, count in parts)
    return {
        "scores": {},
        "pattern": pattern(~seen[None]),
        "queries": queries,
        "keys": keys,
        "seen": int(seen.sum()),
        "read": read,
        "bits": base64.b64encode(np.packbits(seen).tobytes()).decode() if small else "",
        "parts": parts,
    }


def _parts(program: Program, scores: str, head: int) -> list[Part]:
    """What each command of a head, or each window or tile of it, reads; queries are its rows."""
    parts: list[Part] = []
    for view in program.views:
        if view.tensor != scores or view.which != DRAIN or view.kind != SCORES:
            continue
        places = window_places(view) if view.windows else [shown_places(view)]
        for heads, rows, keys in places:
            mine = heads == head if view.windows else heads.start <= head < heads.stop
            if mine and view.key_runs:
                parts += _runs(view)
            elif mine:
                parts += [(rows.start, rows.stop - rows.start, keys.start, keys.stop - keys.start)]
    return parts


def _runs(view: View) -> list[Part]:
    """What each tile of a command by key lists reads, run by run."""
    parts = []
    for tile, runs in enumerate(key_runs(view)):
        first = tile * view.tile_rows
        rows = min(view.tile_rows, view.rows - first)
        parts += [(view.first_row + first, rows, key, min(count, view.keys - key)) for key, count in runs]
    return [part for part in parts if part[3] > 0]
