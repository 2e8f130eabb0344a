# SPDX-License-Identifier: Apache-2.0
"""C simulation: compiles the generated HLS C++ with g++ and runs it on inputs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from hlsgen.errors import ToolFailed, ToolMissing, UsageError
from hlsgen.host import processes
from hlsgen.machine.format.interface import record_type
from hlsgen.machine.format.program import Program
from hlsgen.machine.run import trace
from hlsgen.sim.place import build_place
from hlsgen.sim.schedule import Schedule, read
from hlsgen.store.cache import kept_file, key

FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
SANITIZE = ("-O0", "-g1", "-DHLSGEN_CHECK", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TRACE = ("-DHLSGEN_TRACE",)
SCHEDULE = ("-DHLSGEN_SCHEDULE",)
SOURCES, NAME = ("top.cpp", "tb.cpp"), "tb"
"""What is compiled, and into what."""


@dataclass(frozen=True)
class Result:
    """The results of the C++ for each input.

    results has of each output int64 [inputs, rows, columns]; records holds one array of trace records per
    input, empty arrays when nothing was traced;
    tokens is [inputs, experts], what the machine counted of each expert;
    schedules has one entry per input where the C++ was built to tell them.
    """

    program: Program
    results: tuple[np.ndarray, ...]
    records: tuple[np.ndarray, ...]
    tokens: np.ndarray
    schedules: tuple[Schedule, ...] = ()

    @property
    def outputs(self) -> np.ndarray:
        """The first output, int64 [inputs, rows, columns]."""
        return self.results[0]

    @cached_property
    def tensors(self) -> tuple[dict[str, np.ndarray], ...]:
        """Every traced graph tensor of each input, by name."""
        return tuple(trace.rebuild(self.program, records) for records in self.records)


class CSim:
    """One compiled program.

    Parameters
    ----------
    program
        The program the sources were printed from.
    image
        The packed Image.
    files
        Path to text, as `hlsgen.emit.hls.hls` returns it.
    folder
        Build folder; binaries in it are named by a digest of sources, flags and compiler, and reused. If it
        can't be written, `build_place` gives another.
    tracing
        Compile the trace in.
    sanitize
        Check every integer's range and run under the address and undefined-behaviour sanitizers.
    compiler
        Name or path of g++ or a compiler with the same options.
    scheduled
        Tell the cycles of each input, by the model of the processes.
    flags
        Options for the compiler, behind all others.
    """

    def __init__(
        self,
        program: Program,
        image: bytes,
        files: Mapping[str, str],
        folder: Path,
        *,
        tracing: bool = False,
        sanitize: bool = False,
        compiler: str = "g++",
        scheduled: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.tracing = tracing
        self._image = image
        self._files = {PurePosixPath(path).name: text for path, text in files.items()}
        self._folder = folder
        self._scheduled = scheduled
        chosen = ((SANITIZE, sanitize), (TRACE, tracing), (SCHEDULE, scheduled))
        self._flags = (*FLAGS, *(flag for some, wanted in chosen if wanted for flag in some), *flags)
        self._compiler = compiler
        self._binary: Path | None = None

    def build(self, seconds: float = 300) -> Path:
        """Compile unless that was done before; the binary's path.

        Raises `ToolMissing` without a compiler and `ToolFailed` when it fails or needs more than `seconds`.
        """
        if self._binary is not None and self._binary.exists():
            return self._binary
        compiler = shutil.which(self._compiler)
        if compiler is None:
            raise ToolMissing(f"{self._compiler} must be installed to compile the generated C++")
        self._folder = build_place(self._folder, plain=False)

        def compile_in(work: Path) -> None:
            for path, text in self._files.items():
                (work / path).write_text(text, "utf-8")
            command = [compiler, *self._flags, "-o", NAME, *SOURCES]
            _run(command, work, seconds, "the generated C++ did not compile")

        self._binary = kept_file(self._folder / self._key(compiler) / NAME, compile_in)
        return self._binary

    def run(self, images: np.ndarray, seconds: float = 600, task: int = 0) -> Result:
        """Run int8 images [inputs, channels, height, width]; raises `ToolFailed` when the C++ fails."""
        inputs = [self.program.input.pack(image, self._columns) for image in images]
        return self.run_packed(inputs, seconds, task)

    def run_packed(self, inputs: Sequence[bytes], seconds: float = 600, task: int = 0) -> Result:
        """The same for inputs as `InputLayout.pack` makes them."""
        if not inputs:
            raise UsageError("csim: at least one input is needed")
        binary = self.build()
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            work = Path(name)
            (work / "image.bin").write_bytes(self._image)
            (work / "inputs.bin").write_bytes(b"".join(inputs))
            traced = "trace.bin" if self.tracing else "-"
            command = [
                str(binary.resolve()),
                "image.bin",
                "inputs.bin",
                "-",
                "outputs.bin",
                traced,
                str(task),
                "tokens.bin",
            ]
            _run(command, work, seconds, "the generated C++ failed")
            records = np.fromfile(work / traced, self._record_type) if self.tracing else self._no_records()
            data = (work / "outputs.bin").read_bytes()
            tokens = self._tokens(work / "tokens.bin", len(inputs))
            schedules = read((work / "schedule.txt").read_text("utf-8")) if self._scheduled else ()
        planned = self.program.parameters.planned and self.tracing
        parts = split(records, len(inputs), planned=planned)
        results = self._results(data, len(inputs), task)
        return Result(self.program, results, tuple(parts), tokens, schedules)

    @property
    def _columns(self) -> int:
        return self.program.parameters.columns

    @property
    def _record_type(self) -> np.dtype:
        return record_type(self._columns)

    def _no_records(self) -> np.ndarray:
        return np.zeros(0, self._record_type)

    def _tokens(self, path: Path, count: int) -> np.ndarray:
        experts = self.program.parameters.experts
        return np.fromfile(path, "<u4").reshape(count, experts) if experts else np.zeros((count, 0), "<u4")

    def _results(self, data: bytes, count: int, task: int) -> tuple[np.ndarray, ...]:
        size = self.program.output_bytes
        if len(data) != count * size:
            raise ToolFailed(f"the generated C++ must write {count * size} bytes, not {len(data)}")
        parts = (data[i * size : (i + 1) * size] for i in range(count))
        runs = [self.program.unpack_outputs(part, task) for part in parts]
        return tuple(np.stack(values) for values in zip(*runs, strict=True))

    def _key(self, compiler: str) -> str:
        version = processes.run([compiler, "--version"], self._folder)[1]
        return key(version, *self._flags, *(part for item in sorted(self._files.items()) for part in item))


def split(records: np.ndarray, count: int, *, planned: bool) -> list[np.ndarray]:
    """The trace records of each input.

    The same program writes the same number of words for every input. Where it may skip commands, an input
    begins where the command's number falls; a run of a single command has no experts, and skips none.
    """
    number = records["command"].astype(np.int64)
    falls = np.flatnonzero(np.diff(number) < 0) + 1
    if planned and falls.size:
        return np.split(records, falls)
    if len(records) % count:
        raise ToolFailed(f"{len(records)} trace records must divide by {count} inputs")
    return np.split(records, count)


def _run(command: Sequence[str], work: Path, seconds: float, failure: str) -> None:
    """Run a command; its output is only shown when it fails."""
    # Leak detection needs ptrace, which containers often forbid; the C++ allocates nothing but vectors.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    processes.run_tool(command, work, environ=environment, seconds=seconds, failure=failure)
