"""What a host program has to know about an accelerator, as files beside it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from hlsgen.ir import Graph
from hlsgen.machine.image import Image
from hlsgen.machine.program import Program


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Quantized images [N, C, H, W] and the integer outputs [N, ...] they must give, for a self test."""

    images: np.ndarray
    outputs: np.ndarray


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
        "row_elements": program.input.row_words * columns,
        "input_words_bytes": program.input.words * columns,
        "input_bytes": image.input_bytes,
        "output_shape": [program.output.rows, program.output.columns],
        "output_scale": graph.type_of(graph.output).scale or 1.0,
        "output_groups": program.output.groups,
        "output_bytes": image.output_bytes,
        "workspace_bytes": image.workspace_bytes,
    }


def pack_vectors(vectors: Vectors, program: Program) -> bytes:
    """An .npz with `images` and `outputs` [N, rows, columns]; equal vectors give equal bytes."""
    stream, output = io.BytesIO(), program.output
    images = np.ascontiguousarray(vectors.images).astype(np.int8)
    outputs = vectors.outputs.astype(np.int16).reshape(len(images), output.rows, output.columns)
    np.savez_compressed(stream, images=images, outputs=outputs)
    return stream.getvalue()
