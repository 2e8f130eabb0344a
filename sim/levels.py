# SPDX-License-Identifier: Apache-2.0
"""Run a design's samples at one level and compare every tensor with golden."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Mismatch, Problem, QuantizationWarning, UsageError
from hlsgen.ir import batch_size, evaluate
from hlsgen.machine.format.interface import COUNTERS, error_text
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.cycles import predict
from hlsgen.progress.steps import step
from hlsgen.quantization.findings import agreement_warning
from hlsgen.sim.golden import compare, results_of, tensors_of
from hlsgen.sim.result import Outcome, Simulation, Verilog
from hlsgen.store import measured
from hlsgen.store.cache import cache_folder
from hlsgen.store.files import sha256, writable, write
from hlsgen.store.folder import sources
from hlsgen.store.measured import command_ends
from hlsgen.store.paths import PLAIN, TRACED
from hlsgen.store.samples import constant_text

if TYPE_CHECKING:
    from hlsgen.sim.cosim import Harness, Run
    from hlsgen.store.compiled import Compiled

LEVELS = ("program", "csim", "rtl", "soc")
SIMULATORS = ("verilator", "icarus")
DEFAULT_SAMPLES = {
    ("program", ""): 16,
    ("csim", ""): 0,
    ("rtl", "verilator"): 16,
    ("rtl", "icarus"): 1,
    ("soc", ""): 8,
}
"""Samples that run when the user does not say: what takes seconds; 0 is all of them."""
BATCH = 32
"""Images whose trace records are in memory at once."""


def simulate(
    design: Compiled,
    *,
    level: str = "program",
    simulator: str = "verilator",
    samples: int | None = None,
    task: int = 0,
    share: Share | None = None,
) -> Simulation:
    """Run the first `samples` stored images for a task; raises `Mismatch` with the first difference.

    Without `samples` as many run as take seconds. share: the stored images are a share of others. Raises
    `ToolMissing` and `ToolFailed` for its tools.
    """
    check_request(level, simulator, samples, len(design.samples))
    tensors = tensors_of(design, task) if level != "soc" else results_of(design, task)
    used, images = simulator if level == "rtl" else "", chosen(design, level, simulator, samples)
    verilog, delivered = _verilog(design, level)
    total = share.total if share else len(images)
    outcomes = _outcomes(design, level, simulator, images, task, delivered, total)
    found = _run(design, images, outcomes, task, share.first if share else 0)
    if share is None:
        _warn(design, images, found, task)
    labels = design.samples.labels if task == 0 else None  # labels are the first task's
    result = Simulation(
        level=level,
        simulator=used,
        images=len(images),
        task=task,
        tensors=tensors,
        elements=found.elements,
        classes=tuple(found.classes),
        labels=() if labels is None else tuple(int(label) for label in labels[: len(images)]),
        counters=tuple(found.counters) if level in ("rtl", "soc") else (),
        ends=_ends(found) if level == "rtl" else {},
        macs=design.program.task_macs[task],
        lanes=design.program.parameters.lanes,
        verilog=verilog,
        processor_cycles=tuple(found.processor_cycles) if level == "soc" else (),
    )
    if share is None:
        keep(design, result)
    return result


@dataclass(frozen=True)
class Share:
    """Images that are a part of others: the number of the first one, and how many there are in all."""

    first: int
    total: int


def keep(design: Compiled, result: Simulation) -> None:
    """Write what RTL measured into the build folder, for the report."""
    if result.level == "rtl" and design.directory is not None and writable(design.directory):
        build_id = design.program.parameters.build_id
        measured.store(design.directory, build_id, result.task, result.measured)


def prepare(design: Compiled, level: str, simulator: str, total: int, task: int = 0) -> None:
    """Build what `total` images run in, so that several processes find it."""
    _, delivered = _verilog(design, level)
    _outcomes(design, level, simulator, design.samples.images[:0], task, delivered, total)


def chosen(design: Compiled, level: str, simulator: str, samples: int | None) -> np.ndarray:
    """The images to run."""
    used = simulator if level == "rtl" else ""
    count = DEFAULT_SAMPLES[level, used] if samples is None else samples
    return design.samples.images[: count or len(design.samples)]


def _warn(design: Compiled, images: np.ndarray, found: _Found, task: int) -> None:
    """Warn with `QuantizationWarning` of one output for all images, else of few classes as in float."""
    text, reference = "", design.samples.reference
    if found.constant and len(images) > 1 and (images != images[0]).any():
        text = constant_text("the output", len(images))
    elif found.logits and reference is not None and task == 0:
        scale = next(iter(design.scales().values()))
        text = agreement_warning(np.stack(found.logits) * scale, reference[: len(images)], "images")
    if text:
        warnings.warn(text, QuantizationWarning, stacklevel=4)


def check_request(level: str, simulator: str, samples: int | None, stored: int) -> None:
    """Raise `UsageError` unless there is such a level and simulator, and as many samples."""
    if level not in LEVELS:
        raise UsageError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    if simulator not in SIMULATORS:
        raise UsageError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    if not (samples is None or 1 <= samples <= stored):
        raise UsageError(f"samples must be in 1..{stored}, the number in the build folder, not {samples}")


@dataclass
class _Found:
    """What came of the images so far."""

    elements: int = 0
    classes: list[int] = field(default_factory=list)
    counters: list[Mapping[str, int]] = field(default_factory=list)
    processor_cycles: list[int] = field(default_factory=list)
    slowest: Outcome | None = None
    logits: list[np.ndarray] = field(default_factory=list)
    """Of each image, where its output is one row."""
    first: tuple[np.ndarray, ...] = ()
    constant: bool = True
    """Whether every image gave the first one's outputs."""

    def add(self, outcome: Outcome, elements: int) -> None:
        """One image more, of which `elements` were compared."""
        self.elements += elements
        self.counters.append(outcome.counters)
        self.processor_cycles.append(outcome.processor_cycles)
        (first, *others) = outcome.outputs
        if len(first) == 1 and not others:  # else there is a result for each token, or no class at all
            self.classes.append(int(first.argmax()))
            self.logits.append(first[0])
        self.first = self.first or outcome.outputs
        self.constant = self.constant and all(map(np.array_equal, self.first, outcome.outputs))
        if self.slowest is None or outcome.cycles > self.slowest.cycles:
            self.slowest = outcome


def _ends(found: _Found) -> Mapping[int, int]:
    """The cycle of each command's last result, for the slowest image."""
    assert found.slowest is not None
    assert found.slowest.records is not None
    return command_ends(found.slowest.records)


def _run(
    design: Compiled, images: np.ndarray, outcomes: Iterator[Outcome], task: int, first: int = 0
) -> _Found:
    """Compare each image's outcome with golden, batch by batch; raises `Mismatch`."""
    found, size = _Found(), batch_size(design.graph, BATCH)
    with step("simulate", len(images)) as told:
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            golden = evaluate(design.graph, batch, task)
            for offset, outcome in zip(range(len(batch)), outcomes, strict=False):
                tensors = {name: values[offset] for name, values in golden.items()}
                found.add(outcome, compare(design, first + start + offset, outcome, tensors, task))
                told.advance()
    return found


def _outcomes(
    design: Compiled,
    level: str,
    simulator: str,
    images: np.ndarray,
    task: int,
    delivered: str | None,
    total: int,
) -> Iterator[Outcome]:
    """What comes of each image, one after another; what they run in is built for `total` images at once."""
    if level == "program":
        return _program(design, images, task)
    if level == "csim":
        return _in_batches(images, _csim(design, task))
    if level == "soc":
        return _in_batches(images, _soc(design, task))
    return _in_batches(images, _rtl(design, simulator, total, task, delivered))


def _in_batches(images: np.ndarray, run: Callable[[np.ndarray], Sequence[Outcome]]) -> Iterator[Outcome]:
    for start in range(0, len(images), BATCH):
        yield from run(images[start : start + BATCH])


def _program(design: Compiled, images: np.ndarray, task: int) -> Iterator[Outcome]:
    from hlsgen.machine.run.interpreter import Interpreter

    program = design.program
    interpreter = Interpreter(program.parameters, design.packed_image)
    for image in images:
        done = interpreter.run(program.input.pack(image, program.parameters.columns), task=task)
        yield Outcome(program.unpack_outputs(done.output, task), done.records)


def _csim(design: Compiled, task: int) -> Callable[[np.ndarray], list[Outcome]]:
    from hlsgen.emit.hls import hls
    from hlsgen.sim.csim import CSim

    files = sources(design, "hls") or hls(design.program, design.image)
    compiled = CSim(design.program, design.packed_image, files, build_folder(design), tracing=True)
    with step("build"):
        compiled.build()

    def run(images: np.ndarray) -> list[Outcome]:
        result = compiled.run(images, task=task)
        return [
            Outcome(tuple(outputs), records)
            for *outputs, records in zip(*result.results, result.records, strict=True)
        ]

    return run


def _rtl(
    design: Compiled, simulator: str, count: int, task: int, delivered: str | None
) -> Callable[[np.ndarray], list[Outcome]]:
    """Runs the traced text, and the `delivered` one beside it if there is one, for `count` images in all."""
    from hlsgen.sim import cosim, icarus, library

    program, place, image = design.program, build_folder(design), design.packed_image
    parameters = program.parameters
    quick = count * predict(program, design.image).cycles < library.QUICK_CYCLES
    with step("build"):
        itself = cosim.build(parameters, place, text=delivered, quick=quick) if delivered else None
        traced = harness(design, quick=quick) if simulator == "verilator" else None
    text = "" if traced else _traced(design)

    def run(images: np.ndarray) -> list[Outcome]:
        inputs = [program.input.pack(item, parameters.columns) for item in images]
        if traced is None:
            runs = icarus.run(parameters, image, inputs, place, text=text, task=task)
        else:
            runs = traced.run(image, inputs, task=task)
        if itself is not None:
            _compare_delivered(runs, itself.run(image, inputs, task=task), cycles=traced is not None)
        return [_rtl_outcome(program, done, task) for done in runs]

    return run


def harness(design: Compiled, *, quick: bool) -> Harness:
    """The design's simulator with trace ports in Verilator, built once; `quick`: for few cycles."""
    from hlsgen.sim import cosim

    parameters, text = design.program.parameters, _traced(design)
    return cosim.build(parameters, build_folder(design), trace=True, text=text, quick=quick)


def _compare_delivered(traced: Sequence[Run], delivered: Sequence[Run], *, cycles: bool) -> None:
    """Raise `Mismatch` unless both texts did the same with each image of a batch.

    cycles: also in time, where both saw the same memory.
    """
    for index, (one, other) in enumerate(zip(traced, delivered, strict=True)):
        same = one.output == other.output and one.error == other.error
        if not same or (cycles and one.counters["cycles"] != other.counters["cycles"]):
            raise Mismatch(
                Problem(
                    f"{PLAIN}, image {index} of its batch: it must do the same as the generator's machine: "
                    f"error {one.error}, {one.counters['cycles']} cycles, not error {other.error}, "
                    f"{other.counters['cycles']} cycles, output {'' if same else 'not '}equal",
                    why="the text is not the one that this version generates for the program",
                    fix="hlsgen compile again",
                )
            )


def _rtl_outcome(program: Program, run: Run, task: int) -> Outcome:
    if run.error:
        raise Mismatch(
            Problem(
                f"the RTL stopped with error {run.error}: {error_text(run.error)}",
                why="golden has no such error; docs/registers.md lists the codes",
            )
        )
    if run.records is None:
        raise UsageError("the RTL must be simulated with its trace")
    counters = {counter.title: run.counters[counter.title] for counter in COUNTERS}
    return Outcome(program.unpack_outputs(run.output, task), run.records, counters)


def _soc(design: Compiled, task: int) -> Callable[[np.ndarray], list[Outcome]]:
    """Runs the delivered text in a system."""
    from hlsgen.sim import soc

    fresh = rtl_text(design.program.parameters, design.rtl_target)
    text = sources(design, "rtl").get(PLAIN, fresh)

    def run(images: np.ndarray) -> list[Outcome]:
        runs = soc.plan(design.graph, images, [task])
        done = soc.run_plan(design.graph, design.program, design.image, runs, build_folder(design), text=text)
        return [Outcome(item.outputs, None, item.counters, item.processor_cycles) for item in done]

    return run


def _verilog(design: Compiled, level: str) -> tuple[Verilog | None, str | None]:
    """The Verilog that the simulation stands for; and the delivered text, if that has to run itself."""
    if level not in ("rtl", "soc"):
        return None, None
    with step("RTL"):
        fresh = rtl_text(design.program.parameters, design.rtl_target)
    delivered = sources(design, "rtl").get(PLAIN, fresh)
    itself, digest = delivered != fresh, sha256(delivered.encode())
    if level == "soc":
        return Verilog(sha256=digest, alone=True), None
    return Verilog(sha256=digest, itself=itself), delivered if itself else None


def _traced(design: Compiled) -> str:
    """The Verilog with trace ports, as generated; a simulation puts it into the build folder."""
    with step("RTL"):
        text = rtl_text(design.program.parameters, design.rtl_target, trace=True)
    if design.directory is not None and writable(design.directory):
        write({TRACED: text.encode()}, design.directory)
    return text


def build_folder(design: Compiled) -> Path:
    """Where compiled simulators are kept: in the build folder, or in the user's cache if there is none.

    `build_place` finds another place where that can't be written.
    """
    return cache_folder() if design.directory is None else design.directory / "build"
