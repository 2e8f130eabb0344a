# SPDX-License-Identifier: Apache-2.0
"""Writes the project of a board, by the writer of its family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hlsgen.bitstream.project import BOARDS, PROJECT, note, project_folder
from hlsgen.boards.board import Board
from hlsgen.boards.read import load_board
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.fit.estimate import check_fit
from hlsgen.progress.steps import step
from hlsgen.store.compiled import Compiled
from hlsgen.store.files import sha256

DESCRIPTION, COMPANIONS = "design.json", (".bin", ".npz")
"""What a host program reads first, and endings of what belongs to it."""


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
    _require_possible(design, chosen, name)
    place = _place(design, chosen, directory)
    folder = project_folder(place)
    folder.check()
    with step("project"):
        texts = chosen.family.write_project()(design, chosen)
    files = {path: data if isinstance(data, bytes) else data.encode() for path, data in texts.items()}
    files = _with_digests(files, design)
    folder.replace(files | {PROJECT: note(chosen.name, chosen.family.name, design.digest, files)})
    return place


def _require_possible(design: Compiled, board: Board, name: str) -> None:
    """Raise unless the board can carry the design; `name` is the board's as the user gave it."""
    if not board.has_pins:
        fix = "choose a board, or describe yours in a TOML file like hlsgen/boards/ulx3s-85f.toml"
        raise UsageError(
            Problem(f"board must have pins for a project, which {board.name} has not", fix=fix),
            code=Code.PROJECT,
        )
    bus = design.program.parameters.bus_bytes
    if board.image == "external" and bus > board.bus_bytes:
        raise UsageError(
            Problem(
                f"the design's bus must have at most {board.bus_bytes} bytes for {board.name}, not {bus}",
                fix=f"hlsgen compile with --board {name}",
            ),
            code=Code.PROJECT,
        )
    if design.program.parameters.streamed and board.image != "external":
        fix = f"hlsgen compile with --board {name} --attention resident"
        raise UsageError(
            Problem(f"attention must be resident on {board.name}: it has no memory", fix=fix),
            code=Code.PROJECT,
        )
    check_fit(design.program.parameters, board, len(design.packed_image))


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
        raise UsageError(
            Problem("the project needs a folder", why="the design was not saved", fix=fix), code=Code.PROJECT
        )
    return design.directory / BOARDS / board.name
