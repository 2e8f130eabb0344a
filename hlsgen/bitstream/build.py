# SPDX-License-Identifier: Apache-2.0
"""The bitstream of a project, by the tools of its family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hlsgen.bitstream.export import export
from hlsgen.bitstream.project import checked, find_project
from hlsgen.bitstream.result import Bitstream, Wanted
from hlsgen.boards.families import Family, find_family
from hlsgen.errors import Problem, UsageError
from hlsgen.progress.steps import LOGS, logs_in, step
from hlsgen.store.folder import load


def build_bitstream(
    directory: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    verification: Wanted | None = None,
) -> Bitstream:
    """Build the project that DIR is or holds; raises `ToolMissing` or `ToolFailed`, for missed timing too.

    A build folder without a project is exported first, for its own board.

    seeds: of nextpnr's placements, tried in this order. jobs: how many of them at a time, by default one for
    each processor. verification: simulates the netlist before it is placed; raises `Mismatch`. Raises
    `UsageError` where the project's tools have no use for them, and for a project that was changed, or is of
    another design than the build folder it lies in.
    """
    with step("project"):
        place = find_project(Path(directory)) or export(load(Path(directory)))
        family = find_family(checked(place)["family"])
    logs_in(place / "build" / LOGS)
    given = {"seeds": seeds, "jobs": jobs, "verification": verification}
    options = {name: value for name, value in given.items() if value is not None}
    _require_taken(family, [name for name in options if name not in family.build_options])
    return family.build_project()(place, **options)


def _require_taken(family: Family, useless: Sequence[str]) -> None:
    """Raise `UsageError` for options that the family's tools have no use for."""
    if useless:
        what = f"{' and '.join(useless)} must be left out for {family.title}"
        raise UsageError(Problem(what, why=f"{family.tools}, which builds its bitstreams, takes none"))
