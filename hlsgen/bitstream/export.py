# SPDX-License-Identifier: Apache-2.0
"""Bitstream projects: written for a board's family, built by its tools."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.boards.board import Board, load_board
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Problem, UsageError
from hlsgen.fit.estimate import check_fit
from hlsgen.host.collector import collector_paused
from hlsgen.store.compiled import Compiled
from hlsgen.store.files import sha256
from hlsgen.store.folder import load, manifest, sources
from hlsgen.store.paths import MANIFEST, PLAIN
from hlsgen.store.read import damaged, parse_document, read_bytes
from hlsgen.store.replace import Folder

if TYPE_CHECKING:
    from hlsgen.bitstream.result import Bitstream
    from hlsgen.bitstream.verify import Wanted
    from hlsgen.emit.device import Vectors

FORMAT = "hlsgen project 2"
PROJECT = "project.json"
FIELDS = {"board": str, "family": str, "design": str, "files": dict}
"""Fields of `project.json` that are read, and their types."""
BOARDS = "boards"
"""Folder of the projects in a build folder."""
DESCRIPTION, COMPANIONS = "design.json", (".bin", ".npz")
"""What a host program reads first, and endings of what belongs to it."""
SELF_TEST = 16
"""Samples that a driver's self test takes along."""


def export(
    design: Compiled,
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
    folder = Folder(place, PROJECT, "project")
    folder.check()
    files = {
        path: data if isinstance(data, bytes) else data.encode()
        for path, data in _files(design, chosen).items()
    }
    files = _with_digests(files, design)
    document = {
        "format": FORMAT,
        "board": chosen.name,
        "family": chosen.family,
        "design": design.digest,
        "files": {path: sha256(data) for path, data in sorted(files.items())},
    }
    folder.replace(files | {PROJECT: (json.dumps(document, indent=1) + "\n").encode()})
    return place


def _with_digests(files: Mapping[str, bytes], design: Compiled) -> dict[str, bytes]:
    """The files; what a host reads first tells it which design it is of, and digests of what lies beside it.

    So a host finds out when files of two exports are mixed.
    """
    result = dict(files)
    for path, data in files.items():
        folder, _, name = path.rpartition("/")
        if name == DESCRIPTION:
            beside = {
                other.rpartition("/")[2]: sha256(files[other])
                for other in sorted(files)
                if other.rpartition("/")[0] == folder and other.endswith(COMPANIONS)
            }
            document = json.loads(data) | {"design": design.digest, "sha256": beside}
            result[path] = (json.dumps(document, indent=1) + "\n").encode()
    return result


def _place(design: Compiled, board: Board, directory: str | Path | None) -> Path:
    if directory is not None:
        return Path(directory)
    if design.directory is None:
        fix = "pass a folder, or save the design first"
        raise UsageError(Problem("the project needs a folder", why="the design was not saved", fix=fix))
    return design.directory / BOARDS / board.name


def _files(design: Compiled, board: Board) -> dict[str, str | bytes]:
    """Path below the project to contents."""
    files = _ecp5(design, board) if board.family == "ecp5" else _zynqmp(design, board)
    return {path.partition("/")[2]: data for path, data in files.items()}


def _ecp5(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    """The whole board in one Verilog file: serial port, Image in block RAM, accelerator; and its host."""
    from hlsgen.emit.ecp5.project import ecp5_accelerator

    _require_same_machine(design, board)
    with collector_paused():
        return ecp5_accelerator(
            board,
            design.graph,
            design.program,
            design.image,
            vectors=_self_test(design),
            title=f"hlsgen accelerator {design.notes.get('model', '')}",
        )


def _zynqmp(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    from hlsgen.emit.vivado.project import vivado_project

    return vivado_project(
        board,
        _verilog(design, board),
        design.graph,
        design.program,
        design.image,
        vectors=_self_test(design),
        name=str(design.notes.get("model", "hlsgen")),
    )


def _verilog(design: Compiled, board: Board) -> str:
    """The build folder's own text where it is made for the board's kind of device, else one for that kind."""
    delivered = sources(design, "rtl").get(PLAIN)
    if delivered is not None and board.rtl_target == design.rtl_target:
        return delivered
    _require_same_machine(design, board)
    return rtl_text(design.program.parameters, board.rtl_target)


def _require_same_machine(design: Compiled, board: Board) -> None:
    """Before Verilog is generated for a board: it must be of the machine that the build folder holds."""
    fresh = rtl_text(design.program.parameters, design.rtl_target)
    if sources(design, "rtl").get(PLAIN, fresh) != fresh:
        raise UsageError(
            Problem(
                f"{PLAIN} must be what this version generates, for an export to {board.name}",
                why="the board's Verilog is generated anew, and would be another machine than the folder's",
                fix="hlsgen compile again",
            )
        )


def _self_test(design: Compiled) -> Vectors:
    """Images, and what the golden model makes of them."""
    from hlsgen.emit.device import Vectors

    images = design.samples.images[:SELF_TEST]
    first, *others = (design.logits(images, task) for task in range(design.graph.tasks))
    return Vectors(images=images, outputs=first, others=tuple(others))


def _project(place: Path, rule: str) -> dict[str, Any]:
    """What `export` noted about a project."""
    path, fix = place / PROJECT, "hlsgen export makes one"
    if not path.is_file():
        raise UsageError(Problem(f"{place} {rule}", why=f"it has no {PROJECT}", fix=fix))
    return parse_document(path, read_bytes(path, fix), FORMAT, FIELDS, fix)


def _checked(place: Path) -> dict[str, Any]:
    """The same, once sure that the project is as exported, and of the design that the build folder holds."""
    with Folder(place, PROJECT, "project").reading():
        document = _project(place, "must be a project")
        changed = [
            Problem(
                f"{place / path} must be as it was exported",
                why=why,
                fix="hlsgen export again; `make bitstream` in the project builds it as it is",
            )
            for path, digest in document["files"].items()
            if (why := _changed(place / path, digest))
        ]
    if changed:
        raise UsageError(changed)
    if (home := _home(place)) is None:
        return document
    current = manifest(home)["design"]
    if current != document["design"]:
        raise UsageError(
            Problem(
                f"{place} must be a project of design {current[:12]}, not {document['design'][:12]}",
                why=f"{home} was compiled again after the export",
                fix=f"hlsgen export {shlex.quote(str(home))} --board {document['board']}",
            )
        )
    return document


def _changed(path: Path, digest: object) -> str:
    """Why a file is not the exported one, or nothing."""
    try:
        return "" if sha256(read_bytes(path)) == digest else "the file was changed"
    except UsageError as error:
        return error.problems[0].why.lower() or "it can't be read"


def _home(place: Path) -> Path | None:
    """The build folder that a project lies in, if it does."""
    home = place.absolute().parent.parent
    return home if place.absolute().parent == home / BOARDS and (home / MANIFEST).is_file() else None


def find_project(directory: Path) -> Path:
    """The project folder that DIR is or holds; a build folder without one is exported for its own board."""
    if not (directory / MANIFEST).is_file():
        _project(directory, "must be a project or build folder")
        return directory
    projects = sorted(path.parent for path in (directory / BOARDS).glob(f"*/{PROJECT}"))
    if not projects:
        return export(load(directory))
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
    `UsageError` where the project's tools have no use for them, and for a project that was changed, or is of
    another design than the build folder it lies in.
    """
    from hlsgen.bitstream.ecp5 import SEEDS, build_ecp5
    from hlsgen.bitstream.vivado import build_vivado

    place = find_project(Path(directory))
    family = _checked(place)["family"]
    if family == "ecp5":
        chosen = SEEDS if seeds is None else seeds
        return build_ecp5(place, seeds=chosen, jobs=jobs, verification=verification)
    if family != "zynqmp":
        fix = "hlsgen export makes one"
        raise damaged(place / PROJECT, "of a known family", f"its family is {family!r}", fix)
    if verification:
        raise UsageError("verify must be left out: only an ECP5's netlist can be simulated")
    if seeds is not None or jobs is not None:
        raise UsageError("seeds and jobs must be left out: Vivado chooses placements itself")
    return build_vivado(place)
