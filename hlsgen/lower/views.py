# SPDX-License-Identifier: Apache-2.0
"""How the trace of a command shows the graph's tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from hlsgen.ir import Graph
from hlsgen.lower.layout import Layout
from hlsgen.lower.legalise.spread import Pitch
from hlsgen.lower.part import Part
from hlsgen.lower.size import exp_words
from hlsgen.lower.step import AttentionStep, LinearStep
from hlsgen.machine.format.interface import CONTEXT, DRAIN, PLAIN, SCORES, TILE
from hlsgen.machine.format.key_runs import key_unit
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import View


def linear_views(
    step: LinearStep, command: int, source: Layout | None, result: Layout, graph: Graph
) -> tuple[View, ...]:
    """Operand rows, if they are a whole tensor, laid out as `source`, and results of one product.

    source: None for a copy, whose results show the same.
    """
    rows = step.tile_rows
    if not step.rows.region:
        return (_view(step.result, command, DRAIN, result, rows),)
    if step.stacked and step.factors and source:
        heads = Layout(result.size * step.factors.heads, result.columns, step.factors.heads, result.words)
        shown = _view(step.result, command, DRAIN, heads, rows)
        operand = _view(step.rows.tensor, command, TILE, source, rows)
        return operand, dataclasses.replace(shown, head_first=1)
    name = step.rows.operand or (step.rows.pool.name if step.rows.pool else None)
    routed: dict[str, Any] = {}
    if step.expert:
        routed = {"expert": step.expert, "route": step.route.name if step.route else ""}
    views = []
    whole = step.rows.first == 0 and (step.expert or graph.type_of(step.rows.tensor).shape[0] == rows)
    if source is not None and (name or whole):
        # A tile that only copies a stored tensor shows it again: compared as well.
        shown = name or step.rows.tensor
        size = graph.type_of(shown).shape[0] if step.expert else rows
        views.append(_view(shown, command, TILE, source, size, **routed))
    size = graph.type_of(step.result).shape[0] if step.expert else rows
    final = int(step.combine is not None)
    return (*views, _view(step.result, command, DRAIN, result, size, final=final, **routed))


def _view(tensor: str, command: int, which: int, layout: Layout, rows: int, **routed: Any) -> View:
    return View(
        tensor=tensor,
        command=command,
        which=which,
        kind=PLAIN,
        rows=rows,
        columns=layout.head_size,
        heads=layout.heads,
        head_words=layout.head_words,
        run=layout.run,
        run_columns=layout.run_size,
        **routed,
    )


def attention_views(
    step: AttentionStep,
    command: int,
    query: Layout,
    result: Layout,
    part: Part,
    p: MachineParameters,
) -> tuple[View, ...]:
    """Queries, scores, exp and contexts of a part."""
    every, queries, keys = step.scores.type.shape
    heads, seen = part.heads[1] - part.heads[0], part.keys[1] - part.keys[0]
    digit_words = exp_words(seen, p, step.digits) if step.digits > 1 else 0
    if part.window_rows:
        return _window_views(step, command, query, result, part, digit_words)
    rows = part.rows(p.rows, queries)
    whole = not part.runs and part.heads == (0, every) and rows == (0, queries) and part.keys == (0, keys)
    return tuple(
        View(
            tensor=tensor,
            command=command,
            which=which,
            kind=kind,
            rows=rows[1] - rows[0],
            columns=columns,
            heads=heads,
            part=int(not whole),
            first_row=rows[0],
            first_head=part.heads[0],
            first_column=part.keys[0] if first else 0,
            head_words=query.head_words if which == TILE and kind == SCORES else result.head_words,
            head_first=first,
            **(_listed(part, keys, p, is_score=kind == SCORES) if first and part.runs else {}),
            digit_words=digit_words if tensor == step.exp.name else 0,
        )
        for tensor, which, kind, columns, first in (
            *([(step.query, TILE, SCORES, query.head_size, 0)] if step.keys else []),
            (step.scores.name, DRAIN, SCORES, seen, 1),
            (step.exp.name, TILE, CONTEXT, seen, 1),
            (step.context.name, DRAIN, CONTEXT, result.head_size, 0),
        )
    )


def _listed(part: Part, keys: int, p: MachineParameters, *, is_score: bool) -> dict[str, Any]:
    """Which of so many keys the scores, or exp, of a part by key lists are of."""
    hidden = -(1 << (p.logit_bits - 1)) if is_score else 0
    return {"key_runs": part.text(key_unit(p)), "tile_rows": p.rows, "keys": keys, "hidden": hidden}


def _window_views(
    step: AttentionStep, command: int, query: Layout, result: Layout, part: Part, digit_words: int
) -> tuple[View, ...]:
    """Those of a part that goes through windows, whose heads are windows."""
    shown = (
        (step.query, TILE, SCORES, query.head_size, 0),
        (step.scores.name, DRAIN, SCORES, part.keys[1], 1),
        (step.exp.name, TILE, CONTEXT, part.keys[1], 1),
        (step.context.name, DRAIN, CONTEXT, result.head_size, 0),
    )
    return tuple(
        View(
            tensor=tensor,
            command=command,
            which=which,
            kind=kind,
            rows=part.window_rows,
            columns=columns,
            heads=part.count,
            part=1,
            first_row=part.windows[0] * part.window_rows,
            first_head=part.heads[0],
            head_words=query.head_words if which == TILE and kind == SCORES else result.head_words,
            head_first=first,
            windows=1,
            digit_words=digit_words if tensor == step.exp.name else 0,
        )
        for tensor, which, kind, columns, first in shown
    )


def pitched(views: Iterable[View], pitches: Mapping[str, Pitch]) -> list[View]:
    """The views; those of a tensor with rows between show the one that it stands for.

    What is no tensor's rows in order, or windows, shows nothing then.
    """
    result = []
    for view in views:
        pitch = pitches.get(view.tensor)
        if pitch is None:
            result.append(view)
        elif view.windows:
            columns = min(view.columns, pitch.rows) if view.head_first else view.columns
            first = view.first_row // pitch.pitch * pitch.rows
            changed = {"rows": pitch.rows, "columns": columns, "first_row": first}
            result.append(dataclasses.replace(view, tensor=pitch.tensor, **changed))
        elif view.kind == PLAIN and not view.part:
            rows = view.rows // pitch.pitch * pitch.rows
            own = {"rows": rows, "pitch": pitch.pitch, "pitch_rows": pitch.rows}
            result.append(dataclasses.replace(view, tensor=pitch.tensor, **own))
    return result
