# SPDX-License-Identifier: Apache-2.0
"""The build folder: everything about a design as plain files, the same bytes for the same design."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen import __version__, graph_file
from hlsgen.design import Design
from hlsgen.errors import Problem, UsageError
from hlsgen.machine.image import Image
from hlsgen.machine.parameters import MachineParameters
from hlsgen.machine.program import Program
from hlsgen.measured import PATH as MEASURED
from hlsgen.rtl_text import PLAIN, TRACED, rtl_text
from hlsgen.samples import Samples, pack_output

FORMAT = "hlsgen build folder 1"
MANIFEST = "manifest.json"
_LOADED = ("graph.json", "graph.safetensors", "program.txt", "data/image.bin", "data/images.npy")


DERIVED = (TRACED, MEASURED)
"""What a simulation adds; the manifest doesn't list it."""


def contents(
    design: Design,
    rtl: Callable[[MachineParameters, str], str] = rtl_text,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, bytes]:
    """Path to bytes of the whole build folder, manifest included; writes nothing.

    `rtl` gives the Verilog; it is asked last. `progress` is told what begins.
    """
    from hlsgen.emit.bench import bench
    from hlsgen.emit.folder import folder
    from hlsgen.emit.hls import hls

    program, samples = design.program, design.samples
    progress("C++")
    texts = hls(program, design.image)
    progress("data")
    texts |= bench(program) | {"graph.txt": str(design.graph), "program.txt": str(program)}
    texts |= folder(
        design.graph,
        program,
        design.image,
        version=__version__,
        samples=len(samples),
        labels=samples.labels is not None,
        reference=samples.reference is not None,
    )
    if design.quantization:
        texts["quantization.json"] = json.dumps(design.quantization, indent=1) + "\n"
    binaries = graph_file.save(design.graph) | _data(design)
    progress("RTL")
    texts[PLAIN] = rtl(program.parameters, design.rtl_target)
    files = dict(sorted(({path: text.encode() for path, text in texts.items()} | binaries).items()))
    files[MANIFEST] = _manifest(design, files)
    return files


def _data(design: Design) -> dict[str, bytes]:
    program, samples = design.program, design.samples
    logits, tensors = design.sample_golden
    columns = program.parameters.columns
    files = {
        "data/image.bin": design.packed_image,
        "data/inputs.bin": b"".join(program.input.pack(image, columns) for image in samples.images),
        "data/expected.bin": b"".join(
            pack_output(program.output, row, program.parameters).ljust(design.image.output_bytes, b"\0")
            for row in logits
        ),
        "data/images.npy": _npy(samples.images),
        "data/logits.npy": _npy(logits.astype(np.int16)),
    }
    for name, value in (("labels", samples.labels), ("reference", samples.reference)):
        if value is not None:
            files[f"data/{name}.npy"] = _npy(value)
    stream = io.BytesIO()
    np.savez_compressed(stream, **tensors)  # type: ignore[arg-type]
    return files | {"data/tensors.npz": stream.getvalue()}


def _npy(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(value), allow_pickle=False)
    return stream.getvalue()


def _manifest(design: Design, files: Mapping[str, bytes]) -> bytes:
    program = design.program
    document: dict[str, Any] = {
        "format": FORMAT,
        "hlsgen": __version__,
        "board": design.board,
        "array": [program.parameters.rows, program.parameters.columns, program.parameters.depth],
        "parameters": dataclasses.asdict(program.parameters),
        "build_id": program.parameters.build_id,
        "graph": graph_file.digest(design.graph),
        "samples": len(design.samples),
        "notes": dict(design.notes),
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def save(
    design: Design,
    directory: Path,
    rtl: Callable[[MachineParameters, str], str] = rtl_text,
    progress: Callable[[str], None] = lambda _: None,
) -> Design:
    """Write the build folder; raises `UsageError` when `directory` holds something else.

    `rtl` and `progress` as for `contents`.
    """
    _clear(directory)
    files = contents(design, rtl, progress)
    progress("write")
    write(files, directory)
    return dataclasses.replace(design, directory=directory)


def write(files: Mapping[str, bytes], directory: Path) -> None:
    """Write path -> bytes below `directory`; files that are equal already keep their time stamps."""
    try:
        for path, data in files.items():
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_file() or place.read_bytes() != data:
                place.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be written: {error.strerror}") from None


def _clear(directory: Path) -> None:
    """Refuse a foreign folder; remove what an earlier compilation left in ours."""
    check_folder(directory)
    if not directory.exists() or not any(directory.iterdir()):
        return
    for path in (*manifest(directory)["files"], *DERIVED):
        if (directory / path).resolve().is_relative_to(directory.resolve()):
            (directory / path).unlink(missing_ok=True)


def check_folder(directory: Path) -> None:
    """Raise `UsageError` where a build folder can't be written or is something else; changes nothing."""
    try:
        nearest = next(place for place in (directory, *directory.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise UsageError(f"{nearest} must be a folder, not a file")
        with tempfile.TemporaryFile(dir=nearest):
            pass  # it can be written
        kept = nearest == directory and any(directory.iterdir())
    except OSError as error:
        why = str(error.strerror).lower()
        problem = Problem(f"{directory} can't be written", why=why, fix="choose another folder")
        raise UsageError(problem) from None
    if kept and (directory / MANIFEST).is_file():
        manifest(directory)
    elif kept:
        raise UsageError(
            Problem(
                f"{directory} must be empty, new, or a build folder of hlsgen",
                why="its files would be mixed with the generated ones",
                fix="choose another folder",
            )
        )


def manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a build folder; raises `UsageError` when it has none."""
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_text())
    except OSError:
        raise UsageError(
            Problem(
                f"{directory} must be a build folder",
                why=f"it has no {MANIFEST}",
                fix="hlsgen compile makes one",
            )
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} must be of format {FORMAT!r}")
    return document


def load(directory: Path) -> Design:
    """The design of a build folder; raises `UsageError` when a file of it is missing or was changed."""
    document = manifest(directory)
    problems = [
        Problem(f"{directory / path} must be as it was compiled", why=why, fix="compile again")
        for path in _LOADED
        if (why := _changed(directory, path, document["files"]))
    ]
    if problems:
        raise UsageError(problems)
    program = Program.parse((directory / "program.txt").read_text())
    samples = Samples(
        *(_read(directory / "data" / f"{name}.npy") for name in ("images", "labels", "reference"))
    )
    return Design(
        graph=graph_file.load(directory),
        program=program,
        image=Image.unpack((directory / "data/image.bin").read_bytes()),
        board=document["board"],
        samples=samples,
        notes=document["notes"],
        quantization=_quantization(directory),
        directory=directory,
    )


def _quantization(directory: Path) -> dict[str, Any]:
    path = directory / "quantization.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _changed(directory: Path, path: str, digests: Mapping[str, str]) -> str:
    """Why a file is not the one of the manifest, or nothing."""
    try:
        data = (directory / path).read_bytes()
    except OSError as error:
        return str(error.strerror).lower()
    return "" if hashlib.sha256(data).hexdigest() == digests.get(path) else "it was changed"


def _read(path: Path) -> Any:
    return np.load(path, allow_pickle=False) if path.exists() else None


def sources(directory: Path, folder: str) -> dict[str, str]:
    """Path to text of the files below a folder of the build folder, as the manifest lists them."""
    listed = [path for path in manifest(directory)["files"] if path.startswith(f"{folder}/")]
    try:
        return {path: (directory / path).read_text() for path in listed}
    except OSError as error:
        raise UsageError(f"{error.filename} can't be read: {error.strerror}") from None
