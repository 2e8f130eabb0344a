# SPDX-License-Identifier: Apache-2.0
"""Simulates the netlist that is placed: the board at its pins, and the project's own host program."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from hlsgen.bitstream.result import Verification, Wanted
from hlsgen.errors import Mismatch, Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.progress.steps import step

if TYPE_CHECKING:
    from hlsgen.sim.netlist_cells import CellLibrary
    from hlsgen.sim.serial_board import SerialBoard

IMAGE_SECONDS = 3600.0
"""How long the host waits for an answer: the simulation takes some seconds an image."""
HOST, DESIGN, VECTORS = "host/hlsgen_host.py", "host/design.json", "host/vectors.npz"


@dataclass(frozen=True)
class Vectors:
    """Images [N, C, H, W] and all outputs [N, integers] one behind the other, of the project's self test."""

    images: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Board:
    """How a family's boards are simulated.

    constraints: ending of the project's one file of pins, which is called like its netlist. clock_mhz: the
    frequency of the board's clock, from that file. cells: the family's cell library.
    """

    constraints: str
    clock_mhz: Callable[[Path], float]
    cells: Callable[[], CellLibrary]

    def file(self, folder: Path) -> Path:
        """The file of pins."""
        found = sorted(folder.glob(f"*{self.constraints}"))
        if len(found) != 1:
            raise UsageError(
                f"{folder} must have one {self.constraints} file, not {len(found)}", code=Code.PROJECT
            )
        return found[0]

    def netlist(self, folder: Path) -> Path:
        """The netlist that the project's Makefile gives to place and route."""
        return folder / "build" / f"{self.file(folder).stem}.json"


def digest(netlist: Path) -> str:
    """SHA-256 of the netlist."""
    return hashlib.sha256(netlist.read_bytes()).hexdigest()


def require_verifiable(folder: Path, wanted: Wanted) -> None:
    """Raise `UsageError` or `ToolMissing` unless `verify` can run once there is a netlist."""
    from hlsgen.sim import verilator

    missing = [name for name in (HOST, DESIGN, VECTORS) if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            Problem(
                f"{folder} must hold {', '.join(missing)}, to verify its netlist",
                why="images for the self test, and the program that sends them, are the host's",
                fix="hlsgen export writes the project anew",
            ),
            code=Code.PROJECT,
        )
    wanted.count(len(_vectors(folder).images))
    verilator.environment()


def verify(
    folder: Path, wanted: Wanted, kind: Board, *, jobs: int = 1, vectors: Vectors | None = None
) -> Verification:
    """Run images on the netlist of a synthesised project: `vectors`, by default those of its self test.

    As many boards as `jobs` run side by side, each with a part of the images. Raises `Mismatch` with the
    first integer that differs from golden, and `UsageError` for a netlist with cells that there is no model
    of.
    """
    started = time.monotonic()
    vectors, host, progress = vectors or _vectors(folder), _host_program(folder / HOST), wanted.progress
    images = wanted.count(len(vectors.images))
    with step("verify", images) as told:
        board, sha256 = _board(folder, kind, progress)
        built = time.monotonic()
        progress(f"built in {built - started:.0f} s; {images} images")

        def run(device: Any, index: int) -> int:
            count = _run(device, host, vectors, index, progress)
            told.advance()
            return count

        parts = [part.tolist() for part in np.array_split(np.arange(images), min(jobs, images))]
        cycles = _run_all(board, parts, lambda port: host.Board(port, folder / "host"), run)
    return Verification(
        netlist=str(kind.netlist(folder)),
        sha256=sha256,
        images=images,
        cycles=tuple(cycles),
        build_seconds=built - started,
        run_seconds=time.monotonic() - built,
    )


def _run_all(
    board: SerialBoard,
    parts: Sequence[Sequence[int]],
    connect: Callable[[str], Any],
    run: Callable[[Any, int], int],
) -> list[int]:
    """What `run` gives for each image; each part of them on a board of its own, side by side.

    Once one of them has failed, or this call is ended, all boards are switched off.
    """
    over = threading.Event()

    def run_part(indices: Sequence[int]) -> list[int]:
        with board.port(over) as port:
            device = connect(port)
            try:
                return [run(device, index) for index in indices if not over.is_set()]
            finally:
                device.close()

    with ThreadPoolExecutor(len(parts)) as pool:
        running = [pool.submit(run_part, part) for part in parts]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            # What fails after the first failure fails because its board is switched off.
            return [count for future in running if future in done for count in future.result()]
        finally:
            over.set()


def _board(folder: Path, kind: Board, progress: Callable[[str], None]) -> tuple[SerialBoard, str]:
    """The simulator of the project's netlist, and the netlist's SHA-256."""
    from hlsgen.sim.netlist import read_netlist
    from hlsgen.sim.serial_board import NAME, build_board

    netlist = kind.netlist(folder)
    data = netlist.read_bytes()
    found, sha256 = read_netlist(data, netlist.stem, NAME, kind.cells()), hashlib.sha256(data).hexdigest()
    progress(f"netlist {sha256[:16]}: {sum(found.cells.values())} cells; building its simulator (minutes)")
    hertz = kind.clock_mhz(kind.file(folder)) * 1e6 * float(found.clock_ratio)
    return build_board(found, hertz / _baud(folder), folder / "build" / "verify"), sha256


def _run(device: Any, host: ModuleType, vectors: Vectors, index: int, progress: Callable[[str], None]) -> int:
    """One image through the host's program; the cycles that the board tells. Raises `Mismatch`."""
    expected = vectors.logits[index]
    where, fix = f"image {index} of the self test", "please report it, with the project: the netlist is wrong"
    begun = time.monotonic()
    try:
        label, found = device.run(vectors.images[index], timeout=IMAGE_SECONDS)
    except (host.BoardError, TimeoutError) as error:
        raise Mismatch(
            Problem(f"the netlist must answer: {error}", where=where, fix=fix), code=Code.NETLIST
        ) from None
    parts = found.values() if isinstance(found, dict) else [found]
    logits = np.concatenate([np.ravel(part) for part in parts])
    wrong = np.flatnonzero(logits != expected)
    if len(wrong):
        first = wrong[0]
        what = f"the netlist's logit {first} must be {expected[first]}, not {logits[first]}"
        why = f"{len(wrong)} of {len(expected)} logits differ from golden"
        raise Mismatch(Problem(what, where=where, why=why, fix=fix), code=Code.NETLIST)
    if label is not None and label != np.argmax(expected):
        what = f"the netlist's class must be {np.argmax(expected)}, not {label}"
        raise Mismatch(
            Problem(what, where=where, why="all logits are equal to golden", fix=fix), code=Code.NETLIST
        )
    progress(f"image {index + 1}: class {label}, equal ({time.monotonic() - begun:.1f} s)")
    return int(device.cycles)


def _vectors(folder: Path) -> Vectors:
    try:
        with (folder / VECTORS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            count = len(json.loads((folder / DESIGN).read_text())["tasks"][0])
            names = ["outputs", *(f"outputs_{number}" for number in range(1, count))]
            images, outputs = stored["images"], [stored[name].astype(np.int64) for name in names]
        return Vectors(images, np.concatenate([part.reshape(len(images), -1) for part in outputs], -1))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise _damaged(folder / VECTORS, "images and outputs", error) from None


def _baud(folder: Path) -> int:
    try:
        return int(json.loads((folder / DESIGN).read_text())["baud"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / DESIGN, "the serial port's baud", error) from None


def _damaged(path: Path, holds: str, error: Exception) -> UsageError:
    fix = "hlsgen export writes the project anew"
    return UsageError(
        Problem(f"{path} must hold {holds}", why=f"{type(error).__name__}: {error}", fix=fix),
        code=Code.PROJECT,
    )


def _host_program(path: Path) -> ModuleType:
    """The project's program for the host, as a module."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 the program itself
    except (SyntaxError, ValueError, NameError, ImportError) as error:
        raise _damaged(path, "the project's program for the host", error) from None
    return module
