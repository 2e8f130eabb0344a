# SPDX-License-Identifier: Apache-2.0
"""The build folder: everything about a design as plain files, the same bytes for the same design."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import HlsgenError, Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program
from hlsgen.store import graph_file
from hlsgen.store.compiled import Compiled, design_digest
from hlsgen.store.files import sha256
from hlsgen.store.paths import DERIVED, MANIFEST, PLAIN
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
from hlsgen.store.samples import Samples
from hlsgen.version import __version__

FORMAT = "hlsgen build folder 3"
FIELDS = {"hlsgen": str, "board": str, "design": str, "notes": dict, "files": dict}
"""Fields of the manifest that are read, and their types."""
NEEDED = ("graph.json", "graph.safetensors", "program.txt", "data/image.bin", "data/images.npy", PLAIN)
"""Files without which there is no design."""
_UNREAD = ("README.md", "Makefile", "graph.txt", "hls/", "sim/")
"""Beginnings of what `load` does not rely on: `sources` checks it when it is used."""


def manifest_of(design: Compiled, files: Mapping[str, bytes]) -> bytes:
    """The manifest of a design whose other files these are."""
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


def build_folder(directory: Path) -> Folder:
    """The build folder at a place, to be checked, read or replaced."""
    return Folder(directory, MANIFEST, "build folder", DERIVED)


def manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a build folder; raises `UsageError` when it has none, or a damaged one."""
    path = directory / MANIFEST
    _require(directory)
    with build_folder(directory).reading():
        return _manifest_of(path, read_bytes(path))


def _require(directory: Path) -> None:
    try:
        found = (directory / MANIFEST).is_file() or (directory / COMMIT).is_dir()
    except ValueError as error:  # a null character
        raise UsageError(f"{str(directory)!r} can't be a path: {error}", code=Code.FOLDER) from None
    if not found:
        why, fix = f"it has no {MANIFEST}", "hlsgen compile makes one"
        raise UsageError(Problem(f"{directory} must be a build folder", why=why, fix=fix), code=Code.FOLDER)


def _manifest_of(path: Path, data: bytes) -> dict[str, Any]:
    document = parse_document(path, data, FORMAT, FIELDS)
    if not all(type(value) is str for value in document["files"].values()):
        raise damaged(path, "the manifest of a build folder", "files must be digests by path")
    return document


def load(directory: Path) -> Compiled:
    """The design of a build folder.

    Every file that it comes from, and the Verilog, must have the digest that the manifest lists. Raises
    `UsageError` with all that are missing or were changed.
    """
    _require(directory)
    with build_folder(directory).reading():
        document = _manifest_of(directory / MANIFEST, read_bytes(directory / MANIFEST))
        listed = [path for path in document["files"] if not path.startswith(_UNREAD)]
        files = _read(directory, document, sorted({*listed, *NEEDED}))
    try:
        design = _design(directory, document, files)
    except DAMAGE as error:
        raise damaged(directory, "a build folder of this version", error) from None
    except HlsgenError as error:
        named = [dataclasses.replace(problem, fix=AGAIN, code=Code.DAMAGED) for problem in error.problems]
        raise UsageError(named) from None
    if (found := _digest(files)) != document["design"]:
        why = f"its files are of design {found[:12]}"
        raise damaged(directory / MANIFEST, f"of design {document['design'][:12]}", why)
    return design


def _digest(files: Mapping[str, bytes]) -> str:
    """`Compiled.digest` from a build folder's files."""
    return design_digest(graph_file.digest_of(files), files["program.txt"], files["data/image.bin"])


def _read(directory: Path, document: Mapping[str, Any], paths: Sequence[str]) -> dict[str, bytes]:
    """Files of a build folder, each with the digest of the manifest; raises with all that differ."""
    files, problems = {}, []
    for path in paths:
        try:
            files[path] = read_bytes(directory / path)
            why = "" if sha256(files[path]) == document["files"].get(path) else "the file was changed"
        except UsageError as error:
            why = error.problems[0].why.lower() or "it can't be read"
        if why:
            problems.append(Problem(f"{directory / path} must be as it was compiled", why=why, fix=AGAIN))
    if problems:
        raise UsageError(problems, code=Code.DAMAGED)
    return files


def _design(directory: Path, document: Mapping[str, Any], files: Mapping[str, bytes]) -> Compiled:
    """The design of files whose digests are right."""
    graph = graph_file.parse(directory, files)
    arrays = {
        name: parse_array(directory / path, files[path]) if path in files else None
        for name, path in ((name, f"data/{name}.npy") for name in ("images", "labels", "reference"))
    }
    _check_images(directory, graph, arrays["images"])
    report = "quantization.json"
    return Compiled(
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


def sources(design: Compiled, folder: str) -> dict[str, str]:
    """Path to text of the files below a folder of the design's build folder, as the manifest lists them.

    Raises `UsageError` when one of them was changed, or when the folder holds another design by now.
    """
    directory = design.directory
    if directory is None:
        return {}
    _require(directory)
    with build_folder(directory).reading():
        document = _manifest_of(directory / MANIFEST, read_bytes(directory / MANIFEST))
        if document["design"] != design.digest:
            what = f"{directory} must hold design {design.digest[:12]}, not {document['design'][:12]}"
            raise UsageError(
                Problem(what, why="it was compiled again meanwhile", fix="load it again"), code=Code.STALE
            )
        files = _read(directory, document, [p for p in document["files"] if p.startswith(f"{folder}/")])
    return {path: parse_text(directory / path, data) for path, data in files.items()}
