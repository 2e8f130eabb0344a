# SPDX-License-Identifier: Apache-2.0
"""Images for a board top at its pins, see `support.bench_board_top`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.lower import Lowered
from hlsgen.lower.size import ArrayShape
from hlsgen.rtl.board.top import Lights, Serial
from support.graphs import Vit, images, integer_vit

FAST = Serial(baud=6_250_000, timeout_bits=40)


@cache
def lowered(vit: Vit, rows: int, columns: int, depth: int, bus: int, width: int = 1) -> Lowered:
    shape = ArrayShape(rows=rows, columns=columns, depth=depth, bus_bytes=bus, row_width=width)
    return lower(integer_vit(vit), shape)


def board_case(
    vit: Vit, found: Lowered, folder: Path, *, serial: Serial, mhz: float, clock: str, lights: Lights
) -> dict[str, str]:
    """Write two images and their logits; the environment that tells the bench of them."""
    pixels, columns = images(vit, 2), found.program.parameters.columns
    golden, layout = evaluate(integer_vit(vit), pixels), found.program.input
    inputs = [layout.pack(image, columns)[: layout.words * columns] for image in pixels]
    np.savez(
        folder / "case.npz",
        inputs=np.frombuffer(b"".join(inputs), np.uint8).reshape(len(inputs), -1),
        logits=golden[found.program.output.tensor].reshape(len(inputs), -1),
        divisor=serial.divisor(mhz),
        timeout_bits=serial.timeout_bits,
        clock=clock,
        light_port=lights.port,
        lights=lights.count,
        low=lights.low,
    )
    return {"BOARD_CASE": str(folder / "case.npz")}
