# SPDX-License-Identifier: Apache-2.0
"""`hlsgen compile --fit`: the best machine for a board, by the search, as options of the compilation."""

from __future__ import annotations

from dataclasses import dataclass, field

from hlsgen.errors import DoesNotFit, Problem
from hlsgen.executors.executor import Executor
from hlsgen.explore.exploration import explore
from hlsgen.explore.search import Progress
from hlsgen.explore.space import make_space
from hlsgen.explore.subject import Setting, Subject, board_texts
from hlsgen.fit.options import CompileOptions
from hlsgen.ir import Graph

POINTS = 400
"""Points of a search. More find machines that are a few percent faster at best."""


@dataclass
class Fitter:
    """Chooses what a user left open: array, row width, ring, attention, span.

    lines: after a choice what was chosen, and why.
    """

    executor: Executor
    progress: Progress = lambda _done, _total: None
    lines: list[str] = field(default_factory=list)

    def options(self, graph: Graph, asked: CompileOptions, logit_width: int) -> CompileOptions:
        """The options with everything said; raises `DoesNotFit` where no machine fits the board."""
        subject = Subject("the model", {logit_width: Setting(graph)}, board_texts((asked.board,)))
        array = () if asked.array is None else (asked.array,)
        space = make_space(
            {asked.board: subject.board(asked.board)},
            (logit_width,),
            arrays=[item if isinstance(item, str) else "x".join(map(str, item)) for item in array],
            widths=() if asked.row_width is None else (asked.row_width,),
            rings=() if asked.ring_bytes is None else (asked.ring_bytes,),
            attention=() if asked.attention == "auto" else (asked.attention,),
            spans=() if asked.span is None else (asked.span,),
        )
        done = explore(subject, space, points=POINTS, executor=self.executor, progress=self.progress)
        if not done.best:
            what = f"none of {len(done.found)} machines that were looked at fits {asked.board}"
            why = "; ".join(done.closest())
            raise DoesNotFit(Problem(what, why=why, fix="take a larger board, or a smaller model"))
        best = done.best[0]
        fitting = sum(result.fits for result in done.found.values())
        self.lines = [
            f"fit        {best.point.command()}",
            f"           the best of {len(done.found)} points, of which {fitting} fit; {done.bound(best)}",
            *(f"           {each}" for each in done.neighbours(best)),
        ]
        return CompileOptions(**best.point.options())
