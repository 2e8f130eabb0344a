# SPDX-License-Identifier: Apache-2.0
"""Whole images on the RTL: build the Verilator harness once, run images, compare every tensor."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hlsgen.emit.rtl import verilog
from hlsgen.emit.rtl_cache import generator_digest
from hlsgen.errors import Mismatch, Problem, UsageError
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import COUNTERS, EXPERT_COUNTERS, error_text, record_type
from hlsgen.machine.format.limits import WATCHDOG_CYCLES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import Program
from hlsgen.machine.run import trace
from hlsgen.progress.steps import step
from hlsgen.sim import library, verilator
from hlsgen.sim.place import build_place
from hlsgen.store.cache import kept_file, key
from hlsgen.version import __version__

_SEEN = ("read_beats", "write_beats", "records", "elapsed", "fault", "strays")
_ROW = ("status", "error", *(counter.title for counter in COUNTERS), *_SEEN)
"""What the harness writes of each image, in order."""


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """How the external memory behaves.

    latency: cycles to a burst's first beat, and to a write's response. rate: beats per cycle at most, in each
    direction. stall: chance that a ready or valid is held back in a cycle, drawn from `seed`.
    """

    latency: int = 32
    rate: float = 1.0
    stall: float = 0.0
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with the first image; -1 is never.

    read_error, write_error: number of the beat that gets `response` (2 slave error, 3 decode error). silent:
    number of the first read beat that never comes. abort, reset: cycles from the start to the host's abort,
    to a reset. image_offset: bytes added to the Image's address. image_bytes,
    image_limit, window_bytes: registers. image: what lies in memory in the Image's place.
    """

    read_error: int = -1
    write_error: int = -1
    response: int = 2
    silent: int = -1
    abort: int = -1
    reset: int = -1
    image_offset: int = 0
    image_bytes: int = -1
    image_limit: int = -1
    window_bytes: int = 0
    image: bytes = b""


@dataclass(frozen=True)
class Run:
    """The result of one image: `output` bytes, registers and counters by name, trace records if asked for.

    The counter `strays` has beats written where nothing may be written. experts: tokens and waits of each
    expert, from the registers.
    """

    output: bytes
    counters: Mapping[str, int]
    records: np.ndarray | None
    experts: tuple[tuple[int, int], ...] = ()

    @property
    def error(self) -> int:
        """The machine's error code, 0 for none."""
        return self.counters["error"]


@dataclass(frozen=True)
class QueueRun:
    """The result of images that waited in the machine's queue.

    runs: those that were completed, in order; their counters have `error` alone. whole: counters of all of
    them together, with the code of what ended the queue. ends: cycle from the first start to each image's
    end. outputs: of all images, also of those that were not completed.
    """

    runs: tuple[Run, ...]
    whole: Run
    ends: tuple[int, ...]
    outputs: tuple[bytes, ...]


@dataclass(frozen=True)
class Harness:
    """A built simulator of one machine."""

    executable: Path
    parameters: MachineParameters
    trace: bool

    def run(
        self,
        image: bytes,
        inputs: Sequence[bytes],
        *,
        memory: MemoryTiming | None = None,
        fault: Fault | None = None,
        task: int = 0,
        task_step: int = 0,
        watchdog: int = WATCHDOG_CYCLES,
        image_limit: int = 0,
        limit: int = 1 << 40,
    ) -> list[Run]:
        """Run one Image on padded inputs, one after another; raises `ToolFailed` when nothing comes back.

        fault: what goes wrong with the first of them. task, task_step: the first one's task, and how far each
        next one's is behind it, modulo the number of tasks. watchdog, image_limit: the machine's registers;
        limit: cycles until the harness gives up.
        """
        if any(len(data) != len(inputs[0]) for data in inputs):
            raise UsageError("inputs must all have the same number of bytes")
        options = {"task": task, "task_step": task_step, "watchdog": watchdog, "image_limit": image_limit}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            options |= {"samples": len(inputs), "limit": limit, **_fault_options(fault, folder)}
            return self._execute(folder, image, inputs, memory or MemoryTiming(), options)

    def run_queue(
        self,
        image: bytes,
        inputs: Sequence[bytes],
        *,
        memory: MemoryTiming | None = None,
        fault: Fault | None = None,
        task: int = 0,
        task_step: int = 0,
        watchdog: int = WATCHDOG_CYCLES,
        image_limit: int = 0,
        limit: int = 1 << 40,
    ) -> QueueRun:
        """Run one Image on padded inputs that all wait in the machine's queue; otherwise as `run`.

        Of the fault, beats and `abort` count from the first start, and `reset` has no effect.
        """
        options: dict[str, int | str] = {"task": task, "task_step": task_step, "limit": limit, "queue": 1}
        options |= {"watchdog": watchdog, "image_limit": image_limit, "samples": len(inputs)}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            options |= _fault_options(fault, folder)
            self._call(folder, image, inputs, memory or MemoryTiming(), options)
            return self._queue_results(folder, len(inputs))

    def run_damaged(
        self,
        image: bytes,
        damaged: Sequence[bytes],
        data: bytes,
        *,
        memory: MemoryTiming | None = None,
        task: int = 0,
        watchdog: int = WATCHDOG_CYCLES,
        image_limit: int = 0,
        limit: int = 1 << 40,
    ) -> list[tuple[Run, Run]]:
        """Run every damaged Image on one padded input, and after each of them the right one.

        A damaged one that gives no answer within the `limit` has status 0; it has then been aborted. Only the
        right ones are traced. Raises `ToolFailed` when the right one gives no answer.
        """
        if any(len(one) != len(image) for one in damaged):
            raise UsageError("damaged Images must be as large as the right one")
        options = {"task": task, "watchdog": watchdog, "image_limit": image_limit, "limit": limit}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "damaged").write_bytes(b"".join(damaged))
            runs = self._execute(
                folder,
                image,
                [data],
                memory or MemoryTiming(),
                options | {"damaged": "damaged"},
                2 * len(damaged),
            )
        return list(zip(runs[::2], runs[1::2], strict=True))

    def _execute(
        self,
        folder: Path,
        image: bytes,
        inputs: Sequence[bytes],
        memory: MemoryTiming,
        options: Mapping[str, int | str],
        runs: int = 0,
    ) -> list[Run]:
        """The harness with `options` and all that every call has; what came of `runs`, else of each input."""
        self._call(folder, image, inputs, memory, options)
        return self._results(folder, runs or len(inputs))

    def _call(
        self,
        folder: Path,
        image: bytes,
        inputs: Sequence[bytes],
        memory: MemoryTiming,
        options: Mapping[str, int | str],
    ) -> None:
        """Files of a call in `folder`, then the call."""
        sections = Image.unpack(image)
        (folder / "image").write_bytes(image)
        (folder / "inputs").write_bytes(b"".join(inputs))
        given: dict[str, int | str] = {
            **{file: file for file in ("image", "inputs", "outputs", "counters")},
            **({"trace": "trace"} if self.trace else {}),
            "input_bytes": len(inputs[0]),
            "output_bytes": -(-sections.output_bytes // 64) * 64,
            "workspace_bytes": sections.workspace_bytes,
            "latency": memory.latency,
            "rate": round(memory.rate * 1024),
            "stall": round(memory.stall * 1024),
            "seed": memory.seed,
            "experts": self.parameters.experts,
            "tasks": self.parameters.tasks if self.parameters.planned else 1 << 16,
            **options,
        }
        row = 8 * (len(_ROW) + len(EXPERT_COUNTERS) * self.parameters.experts)
        with step("run", len(inputs)) as told:
            told.count = lambda: _size(folder / "counters") // row
            verilator.run([str(self.executable), *(f"{key}={value}" for key, value in given.items())], folder)

    def _results(self, folder: Path, samples: int) -> list[Run]:
        rows = np.fromfile(folder / "counters", "<u8").reshape(samples, -1)
        outputs = np.fromfile(folder / "outputs", np.uint8).reshape(samples, -1)
        records = self._records(folder)
        runs, start = [], 0
        for row, output in zip(rows, outputs, strict=True):
            counters, experts = _counted(row)
            end = start + counters["records"]
            mine = None if records is None else records[start:end]
            runs.append(Run(output.tobytes(), counters, mine, experts))
            start = end
        return runs

    def _queue_results(self, folder: Path, samples: int) -> QueueRun:
        found = np.fromfile(folder / "counters", "<u8")
        outputs = np.fromfile(folder / "outputs", np.uint8).reshape(samples, -1)
        records, size = self._records(folder), len(_ROW) + len(EXPERT_COUNTERS) * self.parameters.experts
        counters, experts = _counted(found[:size])
        seen = found[size + 1 :].reshape(int(found[size]), 2)
        runs, start = [], 0
        for output, (_, end) in zip(outputs, seen.tolist(), strict=False):
            mine = None if records is None else records[start:end]
            runs.append(Run(output.tobytes(), {"error": 0}, mine))
            start = end
        whole, ends = Run(b"", counters, records, experts), tuple(seen[:, 0].tolist())
        return QueueRun(tuple(runs), whole, ends, tuple(output.tobytes() for output in outputs))

    def _records(self, folder: Path) -> np.ndarray | None:
        """The trace, if there is one."""
        if not self.trace:
            return None
        return np.fromfile(folder / "trace", record_type(self.parameters.columns))


def _size(path: Path) -> int:
    """Bytes of a file that another process may not have made yet."""
    return path.stat().st_size if path.exists() else 0


def _counted(row: np.ndarray) -> tuple[dict[str, int], tuple[tuple[int, int], ...]]:
    """The counters of a row of the harness, by name, and those of each expert."""
    counters = {name: int(value) for name, value in zip(_ROW, row, strict=False)}
    experts = row[len(_ROW) :].reshape(-1, len(EXPERT_COUNTERS))
    return counters, tuple((int(tokens), int(waits)) for tokens, waits in experts)


def _fault_options(fault: Fault | None, folder: Path) -> dict[str, int | str]:
    """The harness's options for the fault; a wrong Image becomes a file."""
    if fault is None:
        return {}
    options: dict[str, int | str] = {key: value for key, value in vars(fault).items() if key != "image"}
    options["faulty_limit"] = options.pop("image_limit")
    if fault.image:
        (folder / "other").write_bytes(fault.image)
        options["other_image"] = "other"
    return options | {"faults": 1}


def _sources() -> dict[str, str]:
    """The harness, and the headers of the machine's interface beside it."""
    from hlsgen.emit.render import render

    headers = {"interface.hpp": "hls/interface.hpp", "registers.hpp": "sim/registers.hpp"}
    made = {name: render(template, {"version": __version__}) for name, template in headers.items()}
    folder = Path(__file__).with_name("harness")
    return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())} | made


def build(
    parameters: MachineParameters,
    folder: Path,
    *,
    target: str = "generic",
    trace: bool = False,
    near: bool = False,
    text: str | None = None,
    quick: bool = False,
) -> Harness:
    """The harness for a machine, from `folder` if it was built there before.

    If make can't work in `folder`, it is another one: see `build_place`.

    near: the machine is made for a memory on the chip. text: the top's Verilog, with trace ports if `trace`;
    without it the generator makes it. quick: for few cycles, see `library.environment`. Raises `ToolMissing`
    or `ToolFailed`.
    """
    sources = _sources()
    made_from = text if text is not None else generator_digest()
    machine = f"{parameters} {target} {trace} {near} {quick} {verilator.version()}"
    name = key(machine, "".join(sources.values()), Path(__file__).read_bytes(), made_from)

    def compile_in(work: Path) -> None:
        (work / "top.v").write_text(text if text is not None else verilog(parameters, target, trace, near))
        for file, content in sources.items():
            (work / file).write_text(content)
        _verilate(work, parameters, trace, quick)

    executable = kept_file(build_place(folder) / f"harness-{name}" / "harness", compile_in)
    return Harness(executable, parameters, trace)


def _verilate(work: Path, parameters: MachineParameters, trace: bool, quick: bool) -> None:
    """Build `harness` from the sources in a folder."""
    shape = {
        "BUS_BYTES": parameters.bus_bytes,
        "COLUMNS": parameters.columns,
        "ROW_WIDTH": parameters.row_width,
    }
    defines = " ".join(f"-D{name}={value}" for name, value in {**shape, "TRACE": int(trace)}.items())
    options = ("-CFLAGS", defines, "--top-module", "top", "top.v", "main.cpp")
    library.build(work, options, "harness", quick=quick)


def check(program: Program, run: Run, golden: Mapping[str, np.ndarray], task: int = 0) -> None:
    """Compare every traced tensor and all outputs with golden; `Mismatch` names the first difference."""
    if run.error:
        raise Mismatch(f"the machine stopped with error {run.error}: {error_text(run.error)}")
    if run.records is None:
        raise UsageError("the harness must be built with trace=True to compare tensors")
    difference = trace.compare(program, run.records, golden, task)
    if difference is not None:
        raise Mismatch(Problem(str(difference), where=str(program.commands[difference.command])))
    for layout in program.results(task):
        output = layout.unpack(run.output, program.parameters)
        if not np.array_equal(output, golden[layout.tensor].reshape(output.shape)):
            raise Mismatch(f"{layout.tensor}: what arrived in memory differs from golden")
