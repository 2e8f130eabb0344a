# SPDX-License-Identifier: Apache-2.0
"""One batch on every level, with the result of each case."""

from __future__ import annotations

import re
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from benchmarks.fuzz.batch import Batch, Case
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.generated import Programs
from hlsgen.errors import EXIT_INTERNAL, HlsgenError, Mismatch
from hlsgen.ir import evaluate
from hlsgen.lower import Lowered
from hlsgen.machine.format.interface import Error
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Execution, Interpreter
from hlsgen.sim import cosim

LEVELS = ("program", "csim", "rtl")
EQUAL, REFUSED, MISMATCH, CRASH, HANG = "equal", "refused", "mismatch", "crash", "hang"
FAILURES = (MISMATCH, CRASH, HANG)
SECONDS = 120
"""A level of a case that takes longer hangs."""
WATCHDOG, LIMIT = 1 << 14, 1 << 24
"""Cycles without progress after which the RTL reports an error; cycles after which the simulator stops."""


@dataclass(frozen=True)
class Outcome:
    """The result of a case: `level` is where it ended; `text` says more unless all is equal."""

    index: int
    kind: str
    level: str
    text: str = ""


def run_batch(
    batch: Batch, levels: Sequence[str], wanted: Callable[[int], bool], folder: Path
) -> Iterator[Outcome]:
    """The outcome of every wanted case, level by level."""
    cases = [case for case in batch.cases() if wanted(case.index)]
    alive: list[_Running] = []
    for case in cases:
        if case.lowered is None:
            yield _refused(case)
            continue
        try:
            alive.append(_Running(case, case.lowered))
        except Exception as error:  # noqa: BLE001 whatever it is, the case says so
            yield _failure(case.index, "golden", error)
    last = "golden"
    for level in levels:
        if level == "rtl" and not batch.rtl:
            continue
        last = level
        failed = _run_level(level, batch, alive, folder)
        yield from failed
        ended = {outcome.index for outcome in failed}
        alive = [item for item in alive if item.case.index not in ended]
    yield from (Outcome(item.case.index, EQUAL, last) for item in alive)


@dataclass(frozen=True)
class Wanted:
    """Levels, and the cases that run of each batch: the first ones, or one alone."""

    levels: Sequence[str]
    cases: int
    only: int | None

    def case(self, index: int) -> bool:
        """Whether a case is to run."""
        return index < self.cases if self.only is None else index == self.only


def outcomes_of(wanted: Wanted, batch: Batch) -> list[Outcome]:
    """What comes of the wanted cases of a batch, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="hlsgen-fuzz-") as name:
        return list(run_batch(batch, wanted.levels, wanted.case, Path(name)))


def _refused(case: Case) -> Outcome:
    error = case.failure
    if isinstance(error, HlsgenError) and error.exit_code != EXIT_INTERNAL:
        return Outcome(case.index, REFUSED, "lower", str(error))
    return Outcome(case.index, CRASH, "lower", "".join(traceback.format_exception(error)))


def _run_level(level: str, batch: Batch, alive: Sequence[_Running], folder: Path) -> list[Outcome]:
    """Those that did not end equal."""
    if not alive:
        return []
    try:
        with _time_limit(10 * SECONDS):
            check = _PREPARE[level](batch, alive, folder)
    except Exception as error:  # noqa: BLE001 what can't be compiled is a crash of every case
        return [_failure(item.case.index, level, error) for item in alive]
    failed = []
    for item in alive:
        try:
            with _time_limit(SECONDS):
                check(item)
        except Exception as error:  # noqa: BLE001
            failed.append(_failure(item.case.index, level, error))
    return failed


class _Hang(Exception):
    pass


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `_Hang` after some seconds; not in a thread, such as one of a Dask worker."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise _Hang(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _failure(index: int, level: str, error: Exception) -> Outcome:
    if isinstance(error, Mismatch):
        return Outcome(index, MISMATCH, level, str(error))
    if isinstance(error, _Hang) or "it took more than" in str(error):
        return Outcome(index, HANG, level, str(error))
    text = str(error) if isinstance(error, HlsgenError) else "".join(traceback.format_exception(error))
    return Outcome(index, CRASH, level, text)


class _Running:
    """A case with what golden says, and what the interpreter did, by task and image."""

    def __init__(self, case: Case, lowered: Lowered) -> None:
        assert case.graph is not None
        assert case.images is not None
        self.case, self.lowered, self.graph, self.images = case, lowered, case.graph, case.images
        self.golden = [
            [{name: value[i] for name, value in values.items()} for i in range(len(self.images))]
            for values in (dict(evaluate(self.graph, self.images, task)) for task in range(self.graph.tasks))
        ]
        columns = lowered.program.parameters.columns
        self.inputs = [lowered.program.input.pack(image, columns) for image in self.images]
        self.executions: dict[tuple[int, int], Execution] = {}

    def check(self, task: int, image: int, output: np.ndarray, records: np.ndarray) -> None:
        """Raises `Mismatch` with the first difference from golden."""
        golden, program = self.golden[task][image], self.lowered.program
        difference = trace.compare(program, records, golden, task)
        if difference is not None:
            raise Mismatch(
                f"task {task}, image {image}: {difference}; {program.commands[difference.command]}"
            )
        expected = golden[program.outputs[task].tensor]
        if not np.array_equal(output, expected):
            raise Mismatch(f"task {task}, image {image}: the output differs")

    def same(self, task: int, image: int, what: str, found: object) -> None:
        """Raises `Mismatch` unless tokens of each expert are what the interpreter counted."""
        done = self.executions.get((task, image))
        if done is not None and list(done.expert_tokens) != found:
            raise Mismatch(f"task {task}, image {image}: {what}: {found}, not {list(done.expert_tokens)}")


Check = Callable[["_Running"], None]


def _program(_batch: Batch, _alive: Sequence[_Running], _folder: Path) -> Check:
    def check(item: _Running) -> None:
        program = item.lowered.program
        machine = Interpreter(program.parameters, item.lowered.image.pack())
        for task in range(item.graph.tasks):
            for image, pixels in enumerate(item.inputs):
                done = machine.run(pixels, task=task)
                item.executions[task, image] = done
                output = program.outputs[task].unpack(done.output, program.parameters)
                item.check(task, image, output, done.records)

    return check


def _csim(_batch: Batch, alive: Sequence[_Running], folder: Path) -> Check:
    programs = Programs({item.case.index: item.lowered for item in alive}, folder / "csim")

    def check(item: _Running) -> None:
        compiled = programs.program(item.case.index)
        for task in range(item.graph.tasks):
            result = compiled.run_packed(item.inputs, SECONDS, task)
            for image, records in enumerate(result.records):
                item.check(task, image, result.outputs[image], records)
                item.same(task, image, "tokens of each expert", result.tokens[image].tolist())
                done = item.executions.get((task, image))
                commands = item.lowered.program.commands
                if done is not None and not np.array_equal(
                    trace.known(commands, done.records), trace.known(commands, records)
                ):
                    raise Mismatch(f"task {task}, image {image}: the order of the trace differs")

    return check


def _rtl(batch: Batch, alive: Sequence[_Running], folder: Path) -> Check:
    harness = cosim.build(alive[0].lowered.program.parameters, folder / "rtl", trace=True, quick=True)

    def check(item: _Running) -> None:
        draw, tasks, program = (
            Draw(batch.seed, batch.number, 4, item.case.index),
            item.graph.tasks,
            item.lowered.program,
        )
        memory = cosim.MemoryTiming(
            latency=draw.pick(1, 4, 32, 100), rate=draw.pick(1.0, 1.0, 0.3), stall=draw.real(0, 0.6),
            seed=draw.integer(1, 1 << 30),
        )  # fmt: skip
        count = max(len(item.inputs), tasks)
        inputs = [item.inputs[i % len(item.inputs)] for i in range(count)]
        runs = harness.run(
            item.lowered.image.pack(), inputs, memory=memory, task_step=1, watchdog=WATCHDOG, limit=LIMIT
        )
        for number, run in enumerate(runs):
            task, image = number % tasks, number % len(item.inputs)
            if run.error == Error.WATCHDOG:
                raise _Hang(f"task {task}, image {image}: the machine made no progress")
            if run.error:
                raise Mismatch(f"task {task}, image {image}: the machine stopped with error {run.error}")
            assert run.records is not None
            output = program.outputs[task].unpack(run.output, program.parameters)
            item.check(task, image, output, run.records)
            item.same(task, image, "tokens of each expert", [tokens for tokens, _ in run.experts])

    return check


_PREPARE = {"program": _program, "csim": _csim, "rtl": _rtl}


def reason(text: str) -> str:
    """The first line of an error without what differs from case to case."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return re.sub(r"\d+", "N", re.sub(r"^%?[a-z]\w*: ", "", line))
