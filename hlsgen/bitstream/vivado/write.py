# SPDX-License-Identifier: Apache-2.0
"""The Vivado project of a design."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.bitstream.machine import machine_verilog, self_test
from hlsgen.boards.board import Board
from hlsgen.emit.vivado.project import FOLDER, vivado_project
from hlsgen.store.compiled import Compiled


def write(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    """The accelerator behind the processor's memory ports, and a driver."""
    files = vivado_project(
        board,
        machine_verilog(design, board),
        design.graph,
        design.program,
        design.image,
        vectors=self_test(design),
        name=str(design.notes.get("model", "hlsgen")),
    )
    return {path.removeprefix(f"{FOLDER}/"): data for path, data in files.items()}
