# SPDX-License-Identifier: Apache-2.0
"""What a host program has to know about an accelerator, as files beside it."""

from __future__ import annotations

import dataclasses
import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from hlsgen.ir import Graph, View
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.interface import Header
from hlsgen.machine.format.limits import cycle_limit
from hlsgen.machine.format.program import OutputLayout, Program
from hlsgen.machine.time.cycles import predict
from hlsgen.store.samples import CLIPPED_SHARE


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Quantized images [N, C, H, W] and the integer outputs [N, ...] they must give, for a self test.

    others: the same of the other outputs: those of a run, then those of the tasks after the first.
    """

    images: np.ndarray
    outputs: np.ndarray
    others: tuple[np.ndarray, ...] = ()


def describe(graph: Graph, program: Program, image: Image) -> dict[str, Any]:
    """Shapes, scales and layouts, ready for JSON."""
    low, high = graph.input_type.integer_range
    columns = program.parameters.columns
    return {
        "build_id": program.parameters.build_id,
        "rows": program.parameters.rows,
        "columns": columns,
        "input_shape": list(graph.input_type.shape),
        "input_scale": graph.input_type.scale or 1.0,
        "input_low": low,
        "input_high": high,
        "clipped_share": CLIPPED_SHARE,
        "input_axes": list(program.input.AXES),
        "input_lines": program.input.lines.tolist(),
        "input_pixels": program.input.pixels(columns).tolist(),
        "input_windows": program.input.windows(columns),
        "input_words_bytes": program.input.words * columns,
        "input_bytes": image.input_bytes,
        "output_bytes": image.output_bytes,
        "workspace_bytes": image.workspace_bytes,
        "cycle_limit": cycle_limit(predict(program, image).cycles),
        "experts": program.parameters.experts,
        "tasks": [
            [_output(graph, program, layout, graph.view(i, task)) for i, layout in enumerate(run)]
            for task, run in enumerate(program.runs)
        ],
    }


def _output(graph: Graph, program: Program, layout: OutputLayout, view: View | None) -> dict[str, Any]:
    """An output of a run: name, shape, scale, where its integers lie among those of the run; its view."""
    return {
        "name": layout.name,
        "shape": [layout.rows, layout.columns],
        "scale": graph.type_of(layout.tensor).scale or 1.0,
        "start": layout.start,
        "pieces": layout.pieces(program.parameters),
        **({"view": dataclasses.asdict(view)} if view else {}),
    }


def image_facts(packed: bytes) -> dict[str, Any]:
    """What a packed Image must be, ready for JSON: size, words of the header, and what these are."""
    header = struct.unpack_from(f"<{HEADER_BYTES // 4}I", packed)
    return {"bytes": len(packed), "header": list(header), "names": [word.meaning for word in Header]}


def pack_vectors(vectors: Vectors, program: Program) -> bytes:
    """An .npz with `images` and `outputs` [N, rows, columns]; equal vectors give equal bytes.

    What the other outputs must be, all of a run, task by task, is in `outputs_1` and so on.
    """
    stream = io.BytesIO()
    arrays: dict[str, np.ndarray] = {"images": np.ascontiguousarray(vectors.images).astype(np.int8)}
    for number, values in enumerate((vectors.outputs, *vectors.others)):
        layout, name = program.outputs[number], f"outputs_{number}" if number else "outputs"
        arrays[name] = values.astype(np.int16).reshape(len(values), layout.rows, layout.columns)
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
