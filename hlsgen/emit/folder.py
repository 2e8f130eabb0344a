# SPDX-License-Identifier: Apache-2.0
"""The build folder's own README, Makefile and licence, as text."""

from __future__ import annotations

from hlsgen.emit.licence import FILE, licence
from hlsgen.emit.render import render
from hlsgen.ir import Graph, TensorType
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program

TEMPLATES = ("README.md", "Makefile")


def _output(name: str, kind: TensorType) -> dict[str, str]:
    return {"name": name, "shape": ", ".join(map(str, kind.shape)), "scale": f"{kind.scale:.9g}"}


def folder(
    graph: Graph, program: Program, image: Image, *, version: str, samples: int, labels: bool, reference: bool
) -> dict[str, str]:
    """Path to text; `samples`, `labels` and `reference` say what lies in `data/`."""
    array = f"{program.parameters.rows}x{program.parameters.columns}x{program.parameters.depth}"
    context = {
        "version": version,
        "title": f"hlsgen accelerator {array}",
        "samples": samples,
        "labels": labels,
        "reference": reference,
        "p": program.parameters,
        "build_id": f"{program.parameters.build_id:#010x}",
        "input_shape": ", ".join(map(str, graph.input_type.shape)),
        "input_scale": f"{graph.input_type.scale:.9g}",
        "outputs": [
            _output(name, graph.type_of(tensor)) for name, tensor in graph.for_task(0).results().items()
        ],
        "macs": program.macs,
        "commands": len(program.commands),
        "image_bytes": len(image.pack()),
        "input_bytes": image.input_bytes,
        "output_bytes": image.output_bytes,
    }
    return {name: render(f"folder/{name}", context) for name in TEMPLATES} | {FILE: licence()}
