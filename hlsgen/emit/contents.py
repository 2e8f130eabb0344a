# SPDX-License-Identifier: Apache-2.0
"""Everything that a build folder holds, as path to bytes; and writing it."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from hlsgen.configuration.read import configuration
from hlsgen.configuration.schema import NAME
from hlsgen.configuration.write import configuration_text
from hlsgen.emit.bench import bench
from hlsgen.emit.folder import folder
from hlsgen.emit.hls import hls
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.progress.steps import step
from hlsgen.store import graph_file
from hlsgen.store.compiled import Compiled
from hlsgen.store.folder import build_folder, manifest_of
from hlsgen.store.paths import MANIFEST, PLAIN
from hlsgen.version import __version__

D = TypeVar("D", bound=Compiled)


def contents(
    design: Compiled,
    rtl: Callable[[MachineParameters, str], str] = rtl_text,
) -> dict[str, bytes]:
    """Path to bytes of the whole build folder, manifest included; writes nothing.

    `rtl` gives the Verilog; it is asked last.
    """
    with step("C++"):
        texts = hls(design.program, design.image)
    with step("data"):
        texts |= _texts(design)
        binaries = graph_file.save(design.graph) | _data(design)
    with step("RTL"):
        texts[PLAIN] = rtl(design.program.parameters, design.rtl_target)
    files = dict(sorted(({path: text.encode() for path, text in texts.items()} | binaries).items()))
    files[MANIFEST] = manifest_of(design, files)
    return files


def _texts(design: Compiled) -> dict[str, str]:
    """All texts but the C++ and the Verilog."""
    program, samples = design.program, design.samples
    texts = bench(program) | {"graph.txt": str(design.graph), "program.txt": str(program)}
    texts |= folder(
        design.graph,
        program,
        design.image,
        version=__version__,
        samples=len(samples),
        labels=samples.labels is not None,
        reference=samples.reference is not None,
    )
    if asked := design.notes.get("configuration"):
        texts[NAME] = configuration_text(configuration(asked), comments=False)
    if design.quantization:
        texts["quantization.json"] = json.dumps(design.quantization, indent=1) + "\n"
    return texts


def _data(design: Compiled) -> dict[str, bytes]:
    program, samples = design.program, design.samples
    golden, tensors = design.sample_golden
    first = next(iter(golden.values()))
    columns = program.parameters.columns
    files = {
        "data/image.bin": design.packed_image,
        "data/inputs.bin": b"".join(program.input.pack(image, columns) for image in samples.images),
        "data/expected.bin": b"".join(
            program.pack_outputs(values).ljust(design.image.output_bytes, b"\0")
            for values in zip(*golden.values(), strict=True)
        ),
        "data/images.npy": _npy(samples.images),
        "data/logits.npy": _npy(first.reshape(len(first), -1).astype(np.int16)),
    }
    if design.graph.names:
        files["data/outputs.npz"] = _npz({name: value.astype(np.int16) for name, value in golden.items()})
    for name, value in (("labels", samples.labels), ("reference", samples.reference)):
        if value is not None:
            files[f"data/{name}.npy"] = _npy(value)
    return files | {"data/tensors.npz": _npz(tensors)}


def _npy(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(value), allow_pickle=False)
    return stream.getvalue()


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """As `numpy.savez_compressed` writes them, but with the fastest compression: others hardly save more."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, value in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(value), zipfile.ZIP_DEFLATED, 1)
    return stream.getvalue()


def save(
    design: D,
    directory: Path,
    rtl: Callable[[MachineParameters, str], str] = rtl_text,
) -> D:
    """Write the build folder in the place of an earlier one, whole or not at all.

    Raises `UsageError` when `directory` holds something else. `rtl` as for `contents`.
    """
    place = build_folder(directory)
    place.check()
    files = contents(design, rtl)
    with step("write"):
        place.replace(files)
    return dataclasses.replace(design, directory=directory)
