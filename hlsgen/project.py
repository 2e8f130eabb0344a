# SPDX-License-Identifier: Apache-2.0
"""The build folder: everything about a design as plain files, the same bytes for the same design."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen import __version__, graph_file
from hlsgen.design import Design, design_digest
from hlsgen.errors import HlsgenError, Problem, UsageError
from hlsgen.ir import Graph
from hlsgen.machine.image import Image
from hlsgen.machine.parameters import MachineParameters
from hlsgen.machine.program import Program
from hlsgen.measured import PATH as MEASURED
from hlsgen.rtl_text import PLAIN, TRACED, rtl_text
from hlsgen.samples import Samples, pack_output
from hlsgen.store.files import sha256, write
from hlsgen.store.read import (
    AGAIN,
    DAMAGE,
    damaged,
    parse_array,
    parse_document,
    parse_text,
    read_bytes,
)
from hlsgen.store.replace import COMMIT, Folder

__all__ = [
    "DERIVED", "FORMAT", "MANIFEST", "check_folder", "contents", "load", "manifest", "save", "sources",
    "write",
]  # fmt: skip

FORMAT = "hlsgen build folder 2"
MANIFEST = "manifest.json"
FIELDS = {"hlsgen": str, "board": str, "design": str, "notes": dict, "files": dict}
"""Fields of the manifest that are read, and their types."""
DERIVED = (TRACED, MEASURED)
"""What a simulation adds; the manifest doesn't list it."""
NEEDED = ("graph.json", "graph.safetensors", "program.txt", "data/image.bin", "data/images.npy", PLAIN)
"""Files without which there is no design."""
_UNREAD = ("README.md", "Makefile", "graph.txt", "hls/", "sim/")
"""Beginnings of what `load` does not rely on: `sources` checks it when it is used."""


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


def _manifest(design: Design, files: Mapping[str, bytes]) -> bytes:
    program = design.program
    document: dict[str, Any] = {
        "format": FORMAT,
        "hlsgen": __version__,
        "board": design.board,
        "array": [program.parameters.rows, program.parameters.columns, program.parameters.depth],
        "parameters": dataclasses.asdict(program.parameters),
        "build_id": program.parameters.build_id,
        "design": _digest(files),
        "graph": graph_file.digest_of(files),
        "samples": len(design.samples),
        "notes": dict(design.notes),
        "files": {path: sha256(data) for path, data in files.items()},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def save(
    design: Design,
    directory: Path,
    rtl: Callable[[MachineParameters, str], str] = rtl_text,
    progress: Callable[[str], None] = lambda _: None,
) -> Design:
    """Write the build folder in the place of an earlier one, whole or not at all.

    Raises `UsageError` when `directory` holds something else. `rtl` and `progress` as for `contents`.
    """
    check_folder(directory)
    files = contents(design, rtl, progress)
    progress("write")
    _folder(directory).replace(files)
    return dataclasses.replace(design, directory=directory)


def check_folder(directory: Path) -> None:
    """Raise `UsageError` when a build folder can't be written or is something else; changes nothing."""
    _folder(directory).check()


def _folder(directory: Path) -> Folder:
    return Folder(directory, MANIFEST, "build folder", DERIVED)


def manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a build folder; raises `UsageError` when it has none, or a damaged one."""
    path = directory / MANIFEST
    _require(directory)
    with _folder(directory).reading():
        return _manifest_of(path, read_bytes(path))


def _require(directory: Path) -> None:
    try:
        found = (directory / MANIFEST).is_file() or (directory / COMMIT).is_dir()
    except ValueError as error:  # a null character
        raise UsageError(f"{str(directory)!r} can't be a path: {error}") from None
    if not found:
        why, fix = f"it has no {MANIFEST}", "hlsgen compile makes one"
        raise UsageError(Problem(f"{directory} must be a build folder", why=why, fix=fix))


def _manifest_of(path: Path, data: bytes) -> dict[str, Any]:
    document = parse_document(path, data, FORMAT, FIELDS)
    if not all(type(value) is str for value in document["files"].values()):
        raise damaged(path, "the manifest of a build folder", "files must be digests by path")
    return document


def load(directory: Path) -> Design:
    """The design of a build folder.

    Every file that it comes from, and the Verilog, must have the digest that the manifest lists. Raises
    `UsageError` with all that are missing or were changed.
    """
    _require(directory)
    with _folder(directory).reading():
        document = _manifest_of(directory / MANIFEST, read_bytes(directory / MANIFEST))
        listed = [path for path in document["files"] if not path.startswith(_UNREAD)]
        files = _read(directory, document, sorted({*listed, *NEEDED}))
    try:
        design = _design(directory, document, files)
    except DAMAGE as error:
        raise damaged(directory, "a build folder of this version", error) from None
    except HlsgenError as error:
        raise UsageError([dataclasses.replace(problem, fix=AGAIN) for problem in error.problems]) from None
    if (found := _digest(files)) != document["design"]:
        why = f"its files are of design {found[:12]}"
        raise damaged(directory / MANIFEST, f"of design {document['design'][:12]}", why)
    return design


def _digest(files: Mapping[str, bytes]) -> str:
    """`Design.digest` from a build folder's files."""
    return design_digest(graph_file.digest_of(files), files["program.txt"], files["data/image.bin"])


def _read(directory: Path, document: Mapping[str, Any], paths: Sequence[str]) -> dict[str, bytes]:
    """Files of a build folder, each with the digest of the manifest; raises with all that differ."""
    files, problems = {}, []
    for path in paths:
        try:
            files[path] = read_bytes(directory / path)
            why = "" if sha256(files[path]) == document["files"].get(path) else "it was changed"
        except UsageError as error:
            why = error.problems[0].why.lower() or "it can't be read"
        if why:
            problems.append(Problem(f"{directory / path} must be as it was compiled", why=why, fix=AGAIN))
    if problems:
        raise UsageError(problems)
    return files


def _design(directory: Path, document: Mapping[str, Any], files: Mapping[str, bytes]) -> Design:
    """The design of files whose digests are right."""
    graph = graph_file.parse(directory, files)
    arrays = {
        name: parse_array(directory / path, files[path]) if path in files else None
        for name, path in ((name, f"data/{name}.npy") for name in ("images", "labels", "reference"))
    }
    _check_images(directory, graph, arrays["images"])
    report = "quantization.json"
    return Design(
        graph=graph,
        program=Program.parse(parse_text(directory / "program.txt", files["program.txt"])),
        image=Image.unpack(files["data/image.bin"]),
        board=document["board"],
        samples=Samples(**arrays),  # type: ignore[arg-type]
        notes=document["notes"],
        quantization=parse_document(directory / report, files[report]) if report in files else {},
        directory=directory,
    )


def _check_images(directory: Path, graph: Graph, images: np.ndarray | None) -> None:
    shape, wanted = getattr(images, "shape", ()), graph.input_type.shape
    if images is None or images.dtype.kind != "i" or shape[1:] != wanted or not len(images):
        path = directory / "data/images.npy"
        raise damaged(path, f"integers [N, {', '.join(map(str, wanted))}]", f"its shape is {list(shape)}")


def sources(design: Design, folder: str) -> dict[str, str]:
    """Path to text of the files below a folder of the design's build folder, as the manifest lists them.

    Raises `UsageError` when one of them was changed, or when the folder holds another design by now.
    """
    directory = design.directory
    if directory is None:
        return {}
    _require(directory)
    with _folder(directory).reading():
        document = _manifest_of(directory / MANIFEST, read_bytes(directory / MANIFEST))
        if document["design"] != design.digest:
            what = f"{directory} must hold design {design.digest[:12]}, not {document['design'][:12]}"
            raise UsageError(Problem(what, why="it was compiled again meanwhile", fix="load it again"))
        files = _read(directory, document, [p for p in document["files"] if p.startswith(f"{folder}/")])
    return {path: parse_text(directory / path, data) for path, data in files.items()}
