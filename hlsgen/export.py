# SPDX-License-Identifier: Apache-2.0
"""Bitstream projects: written for a board's family, built by its tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.boards import Board, check_fit, load_board
from hlsgen.collector import collector_paused
from hlsgen.design import Design
from hlsgen.errors import Problem, UsageError
from hlsgen.project import MANIFEST, manifest, write

if TYPE_CHECKING:
    from hlsgen.bitstream.result import Bitstream
    from hlsgen.bitstream.verify import Wanted
    from hlsgen.emit.device import Vectors

FORMAT = "hlsgen project 1"
PROJECT = "project.json"
BOARDS = "boards"
"""Folder of the projects in a build folder."""
SELF_TEST = 16
"""Samples that a driver's self test takes along."""


def export(
    design: Design,
    board: str | None = None,
    directory: str | Path | None = None,
    clock: float | None = None,
) -> Path:
    """Write the project of a board; returns its folder, by default DIR/boards/BOARD.

    clock: the accelerator's, in MHz, by default the board's. Raises `DoesNotFit`, and `UsageError` for a
    board with a narrower bus or without a project of its own, or a clock that it can't have.
    """
    name = board or design.board
    chosen = load_board(name).with_clock(clock)
    if not chosen.has_pins:
        fix = "choose a board, or describe yours in a TOML file like hlsgen/boards/ulx3s-85f.toml"
        raise UsageError(Problem(f"board must have pins for a project, which {chosen.name} has not", fix=fix))
    bus = design.program.parameters.bus_bytes
    if chosen.image == "external" and bus > chosen.bus_bytes:
        raise UsageError(
            Problem(
                f"the design's bus must have at most {chosen.bus_bytes} bytes for {chosen.name}, not {bus}",
                fix=f"hlsgen compile with --board {name}",
            )
        )
    if design.program.parameters.streamed and chosen.image != "external":
        fix = f"hlsgen compile with --board {name} --attention resident"
        raise UsageError(Problem(f"attention must be resident on {chosen.name}: it has no memory", fix=fix))
    check_fit(design.program.parameters, chosen, len(design.packed_image))
    place = _place(design, chosen, directory)
    files = {
        path: data if isinstance(data, bytes) else data.encode()
        for path, data in _files(design, chosen).items()
    }
    document = {"format": FORMAT, "board": chosen.name, "family": chosen.family, "files": sorted(files)}
    _clear(place)
    write(files | {PROJECT: (json.dumps(document, indent=1) + "\n").encode()}, place)
    return place


def _place(design: Design, board: Board, directory: str | Path | None) -> Path:
    if directory is not None:
        return Path(directory)
    if design.directory is None:
        fix = "pass a folder, or save the design first"
        raise UsageError(Problem("the project needs a folder", why="the design was not saved", fix=fix))
    return design.directory / BOARDS / board.name


def _files(design: Design, board: Board) -> dict[str, str | bytes]:
    """Path below the project to contents."""
    files = _ecp5(design, board) if board.family == "ecp5" else _zynqmp(design, board)
    return {path.partition("/")[2]: data for path, data in files.items()}


def _ecp5(design: Design, board: Board) -> Mapping[str, str | bytes]:
    """The whole board in one Verilog file: serial port, Image in block RAM, accelerator; and its host."""
    from hlsgen.emit.ecp5 import ecp5_accelerator

    with collector_paused():
        return ecp5_accelerator(
            board,
            design.graph,
            design.program,
            design.image,
            vectors=_self_test(design),
            title=f"hlsgen accelerator {design.notes.get('model', '')}",
        )


def _zynqmp(design: Design, board: Board) -> Mapping[str, str | bytes]:
    from hlsgen.emit.vivado import vivado_project
    from hlsgen.rtl_text import rtl_text

    return vivado_project(
        board,
        rtl_text(design.program.parameters, board.rtl_target),
        design.graph,
        design.program,
        design.image,
        vectors=_self_test(design),
        name=str(design.notes.get("model", "hlsgen")),
    )


def _self_test(design: Design) -> Vectors:
    """Images, and what the golden model makes of them."""
    from hlsgen.emit.device import Vectors

    images = design.samples.images[:SELF_TEST]
    first, *others = (design.logits(images, task) for task in range(design.graph.tasks))
    return Vectors(images=images, outputs=first, others=tuple(others))


def _clear(place: Path) -> None:
    """Refuse a foreign folder; remove what an earlier export left."""
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} must be a folder, not a file")
    if not place.exists() or not any(place.iterdir()):
        return
    for path in _project(place, "must be empty, new, or a project of hlsgen")["files"]:
        if (place / path).resolve().is_relative_to(place.resolve()):
            (place / path).unlink(missing_ok=True)


def _project(place: Path, rule: str) -> dict[str, Any]:
    """What `export` noted about a project."""
    try:
        document = json.loads((place / PROJECT).read_text())
    except (OSError, ValueError):
        raise UsageError(
            Problem(f"{place} {rule}", why=f"it has no {PROJECT}", fix="hlsgen export makes one")
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{place / PROJECT} must be of format {FORMAT!r}")
    return document


def find_project(directory: Path) -> Path:
    """The project folder that DIR is or holds; a build folder without one is exported for its own board."""
    if not (directory / MANIFEST).is_file():
        _project(directory, "must be a project or build folder")
        return directory
    projects = sorted(path.parent for path in (directory / BOARDS).glob(f"*/{PROJECT}"))
    if not projects:
        return export(Design.load(directory))
    if len(projects) == 1:
        return projects[0]
    own = directory / BOARDS / load_board(manifest(directory)["board"]).name
    if own in projects:
        return own
    raise UsageError(f"project must be one of {', '.join(map(str, projects))}, not all of them")


def build_bitstream(
    directory: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    verification: Wanted | None = None,
) -> Bitstream:
    """Build the project that DIR is or holds; raises `ToolMissing` or `ToolFailed`, for missed timing too.

    seeds: of an ECP5's placements, tried in this order. jobs: how many of them at a time, by default one for
    each processor. verification: simulates an ECP5's netlist before it is placed; raises `Mismatch`. Raises
    `UsageError` where the project's tools have no use for them.
    """
    from hlsgen.bitstream.ecp5 import SEEDS, build_ecp5
    from hlsgen.bitstream.vivado import build_vivado

    place = find_project(Path(directory))
    family = _project(place, "must be a project")["family"]
    if family == "ecp5":
        chosen = SEEDS if seeds is None else seeds
        return build_ecp5(place, seeds=chosen, jobs=jobs, verification=verification)
    if verification:
        raise UsageError("verify must be left out: only an ECP5's netlist can be simulated")
    if seeds is not None or jobs is not None:
        raise UsageError("seeds and jobs must be left out: Vivado chooses placements itself")
    return build_vivado(place)
