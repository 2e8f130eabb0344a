# SPDX-License-Identifier: Apache-2.0
"""Evaluate a compiled model on data: golden beside the float model, and a level beside golden."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from hlsgen.errors import CalibrationError, UsageError
from hlsgen.evaluation.evaluation import ClassFigures, Evaluation, LevelFigures, OutputFigures
from hlsgen.evaluation.measures import centred, confusion, cosines, in_first
from hlsgen.ir import Graph, batch_size, evaluate, quantize_images
from hlsgen.machine.format.interface import CYCLES
from hlsgen.ops import IntegerRoute
from hlsgen.progress.steps import step
from hlsgen.quantization.findings import differing
from hlsgen.quantization.routing import RoutingCount, RoutingReport, experts_of
from hlsgen.report.noise import decibels
from hlsgen.sim.levels import simulate
from hlsgen.store.compiled import Compiled
from hlsgen.store.samples import CLIPPED_SHARE, Samples, clipped_pixels

GOLDEN = "golden"
"""The level that every other one is compared with."""
BATCH = 64
WORST = 16
"""Images that are listed as the worst, and as wrong."""
FIVE = 5
Tensors = Mapping[str, np.ndarray]


def evaluate_design(
    design: Compiled,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    reference: Graph | None = None,
    level: str = GOLDEN,
    simulator: str = "verilator",
    task: int = 0,
) -> Evaluation:
    """The figures of one task on real images [N, C, H, W].

    Parameters
    ----------
    design
        The compiled model.
    images
        Preprocessed as for the model.
    labels
        Classes [N] of the first task, if they are known.
    reference
        The float Graph, as `hlsgen.capture` gives it for the same outputs; None: it is not known.
    level
        `golden`, or a level of `Design.simulate` that has to give golden's integers for every image.
    simulator
        Of level rtl.
    task
        Number of the run.

    Raises `UsageError` for images of another shape, labels that are not [N] or negative, and a float Graph of
    other outputs, and what `Design.simulate` raises: `Mismatch` above all.
    """
    labels = _checked(design, images, labels if task == 0 else None)
    integers = quantize_images(images, design.graph.input_type)
    golden, real, routing = _outputs(design, reference, images, integers, task)
    scales = design.scales(task)
    outputs = tuple(
        _output(name or _tensor(design, task), values, scales[name], real.get(name))
        for name, values in golden.items()
    )
    first = next(iter(golden))
    classes = _classes(golden[first], real.get(first), labels)
    clipped = int((clipped_pixels(images, design.graph.input_type) > CLIPPED_SHARE).sum())
    return Evaluation(
        task=task,
        images=len(images),
        outputs=outputs,
        classes=classes,
        experts=routing,
        clipped=clipped,
        reference=bool(real),
        level=None if level == GOLDEN else _level(design, integers, level, simulator, task),
        warnings=_warnings(outputs, classes, clipped, len(images)),
    )


def _checked(design: Compiled, images: np.ndarray, labels: np.ndarray | None) -> np.ndarray | None:
    """Labels of the images; raises `UsageError` for images or labels that are not possible."""
    shape = design.graph.input_type.shape
    if images.shape[1:] != shape or not len(images):
        wanted = ", ".join(map(str, shape))
        raise UsageError(
            f"images must have shape [N, {wanted}] with N of 1 or more, not {list(images.shape)}"
        )
    if labels is None:
        return None
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any():
        raise CalibrationError(f"labels must be [{len(images)}] of 0 and more, not {list(labels.shape)}")
    return labels.astype(np.int64)


def _tensor(design: Compiled, task: int) -> str:
    return design.graph.for_task(task).output


def _outputs(
    design: Compiled, reference: Graph | None, images: np.ndarray, integers: np.ndarray, task: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[RoutingReport, ...]]:
    """Integer outputs, float outputs and routings of all images, a batch at a time."""
    graph = design.graph.for_task(task)
    wanted = graph.results()
    floats = _reference(design, reference, task)
    counts = {
        node.name: RoutingCount(node.name, task, experts_of(graph, node.name))
        for node in graph
        if isinstance(node.op, IntegerRoute)
    }
    golden: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    real: dict[str, list[np.ndarray]] = {name: [] for name in wanted} if floats else {}
    size = batch_size(design.graph, BATCH)
    with step("golden", len(images)) as told:
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            tensors = evaluate(graph, integers[part])
            exact = evaluate(floats, images[part]) if floats else {}
            for name, tensor in wanted.items():
                golden[name].append(np.asarray(tensors[tensor]))
            for name in real:
                assert floats is not None
                real[name].append(np.asarray(exact[floats.results()[name]]))
            for name, count in counts.items():
                count.update(tensors[name], exact.get(name, tensors[name]))
            told.advance(len(images[part]))
    joined = [{name: np.concatenate(parts) for name, parts in each.items()} for each in (golden, real)]
    return joined[0], joined[1], tuple(count.report() for count in counts.values())


def _reference(design: Compiled, reference: Graph | None, task: int) -> Graph | None:
    """The float Graph of the task; raises `UsageError` where its outputs are others."""
    if reference is None:
        return None
    mine, other = design.graph, reference
    same = (
        mine.tasks == other.tasks
        and mine.names == other.names
        and mine.input_type.shape == other.input_type.shape
        and [mine.type_of(name).shape for name in mine.outputs]
        == [other.type_of(name).shape for name in other.outputs]
    )
    if not same:
        raise UsageError(
            f"the float model must have the design's input and outputs, {_listed(mine)}, not {_listed(other)}"
        )
    return other.for_task(task)


def _listed(graph: Graph) -> str:
    shapes = [f"{name}{list(graph.type_of(name).shape)}" for name in (graph.input, *graph.outputs)]
    return ", ".join(shapes)


def _output(name: str, golden: np.ndarray, scale: float, real: np.ndarray | None) -> OutputFigures:
    constant = len(golden) > 1 and bool((golden == golden[0]).all())
    if real is None:
        return OutputFigures(
            name=name,
            shape=golden.shape[1:],
            db=None,
            centred_db=None,
            cosine=None,
            worst=(),
            constant=constant,
        )
    wanted = real.reshape(len(real), -1).astype(np.float64)
    found = golden.reshape(len(golden), -1) * scale
    error = found - wanted
    each = [(index, decibels(wanted[index], error[index])) for index in range(len(wanted))]
    noisy = sorted(((value, index) for index, value in each if value is not None))
    return OutputFigures(
        name=name,
        shape=golden.shape[1:],
        db=decibels(wanted, error),
        centred_db=decibels(centred(wanted), centred(error)) if len(wanted) > 1 else None,
        cosine=float(cosines(found, wanted).mean()),
        worst=tuple((index, value) for value, index in noisy[:WORST]),
        constant=constant,
    )


def _classes(golden: np.ndarray, real: np.ndarray | None, labels: np.ndarray | None) -> ClassFigures | None:
    """Figures of classes, where an image has one row of at least two logits."""
    if golden[0].size != golden.shape[-1] or golden.shape[-1] < 2:
        return None
    logits = golden.reshape(len(golden), -1)
    floats = None if real is None else real.reshape(len(real), -1)
    found = logits.argmax(1)
    same = None if floats is None else in_first(logits, floats.argmax(1), 1)
    plain = ClassFigures(classes=logits.shape[1], same=same)
    if labels is None:
        return plain
    many = logits.shape[1] > FIVE
    wrong = np.flatnonzero(found != labels)[:WORST]
    return dataclasses.replace(
        plain,
        float_first=None if floats is None else in_first(floats, labels, 1),
        float_five=None if floats is None or not many else in_first(floats, labels, FIVE),
        first=in_first(logits, labels, 1),
        five=in_first(logits, labels, FIVE) if many else None,
        confusion=tuple(map(tuple, confusion(labels, found, logits.shape[1]).tolist())),
        wrong=tuple((int(index), int(labels[index]), int(found[index])) for index in wrong),
    )


def _level(design: Compiled, integers: np.ndarray, level: str, simulator: str, task: int) -> LevelFigures:
    """Run every image at a level; raises `Mismatch` with the first difference."""
    given = dataclasses.replace(design, samples=Samples(integers))
    done = simulate(given, level=level, simulator=simulator, samples=len(integers), task=task)
    cycles = [item[CYCLES.title] for item in done.counters]
    return LevelFigures(
        level=level,
        simulator=done.simulator,
        elements=done.elements,
        cycles=(min(cycles), max(cycles)) if cycles else None,
    )


def _warnings(
    outputs: tuple[OutputFigures, ...], classes: ClassFigures | None, clipped: int, images: int
) -> tuple[str, ...]:
    found = [
        f"{item.name} is the same for all {images} images; try calibration images that differ, "
        "or another observer for the tensors of the lowest centred dB in the report"
        for item in outputs
        if item.constant
    ]
    if classes and classes.same:
        decibel = outputs[0].db if outputs[0].centred_db is None else outputs[0].centred_db
        if decibel is not None and differing(classes.same.count, images, decibel):
            found.append(
                f"the integer model gives the float model's class of only {classes.same.count} of {images} "
                "images; try more calibration images, or see `hlsgen report` for the tensors of the lowest dB"
            )
    if clipped:
        found.append(
            f"{clipped} of {images} images have more than {CLIPPED_SHARE:.0%} of their pixels outside the "
            "range of the calibration images; give them the same preprocessing"
        )
    return tuple(found)
