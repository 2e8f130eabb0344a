# SPDX-License-Identifier: Apache-2.0
"""The program for the computer at a board's serial port, and what it has to know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hlsgen.emit.device import Vectors, describe, pack_vectors
from hlsgen.emit.render import render
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program

if TYPE_CHECKING:
    from hlsgen.rtl.board.top import Serial


def host_files(
    graph: Graph, program: Program, image: Image, serial: Serial, vectors: Vectors
) -> dict[str, str | bytes]:
    """Path in the project to contents: the program, the facts that it reads, `vectors` for its self test."""
    facts = describe(graph, program, image)
    facts |= {"baud": serial.baud, "quiet_seconds": serial.timeout_bits / serial.baud}
    return {
        "host/hlsgen_host.py": render("serial/hlsgen_host.py", {}),
        "host/design.json": json.dumps(facts, indent=1) + "\n",
        "host/vectors.npz": pack_vectors(vectors, program),
    }
