# SPDX-License-Identifier: Apache-2.0
"""Evaluate a compiled model on data: golden beside the float model, and a level beside golden."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np

from hlsgen.errors import CalibrationError, QuantizationWarning, UsageError
from hlsgen.evaluation.evaluation import ClassFigures, Evaluation, LevelFigures, OutputFigures
from hlsgen.evaluation.measures import centred, confusion, cosines, in_first
from hlsgen.evaluation.own import own_figures
from hlsgen.executors.executor import Executor, Serial, ordered
from hlsgen.ir import Graph, batch_size, evaluate, quantize_images
from hlsgen.machine.format.interface import CYCLES
from hlsgen.ops import IntegerRoute
from hlsgen.progress.steps import Step, step
from hlsgen.quantization.findings import differing, few_as_float
from hlsgen.quantization.noise import decibels
from hlsgen.quantization.routing import RoutingCount, RoutingReport
from hlsgen.sim.levels import simulate
from hlsgen.sim.parts import simulate_parts
from hlsgen.store import evaluated
from hlsgen.store.compiled import Compiled
from hlsgen.store.evaluated import Evaluated, Noise, Shares
from hlsgen.store.files import writable
from hlsgen.store.samples import CLIPPED_SHARE, Samples, clipped_pixels, constant_text

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
    own: np.ndarray | None = None,
    level: str = GOLDEN,
    simulator: str = "verilator",
    task: int = 0,
    executor: Executor | None = None,
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
    own
        [N, elements]: the first output of the own runtime of a model that is quantized already; None: of a
        float model, or it is not known.
    level
        `golden`, or a level of `Design.simulate` that has to give golden's integers for every image.
    simulator
        Of level rtl.
    task
        Number of the run.
    executor
        Where images are evaluated and run, split over its workers; None: here.

    The build folder keeps the figures for the report, where it can be written.

    Raises `UsageError` for images of another shape, labels that are not [N] or negative, and a float Graph of
    other outputs, and what `Design.simulate` raises: `Mismatch` above all.
    """
    labels = _checked(design, images, labels if task == 0 else None)
    integers = quantize_images(images, design.graph.input_type)
    golden, real, routing = _outputs(design, reference, images, integers, task, executor or Serial())
    scales = design.scales(task)
    outputs = tuple(
        _output(name or _tensor(design, task), values, scales[name], real.get(name))
        for name, values in golden.items()
    )
    first = next(iter(golden))
    classes = _classes(golden[first], real.get(first), labels)
    clipped = int((clipped_pixels(images, design.graph.input_type) > CLIPPED_SHARE).sum())
    evaluation = Evaluation(
        task=task,
        images=len(images),
        outputs=outputs,
        classes=classes,
        experts=routing,
        clipped=clipped,
        reference=bool(real),
        own=None if own is None or task else own_figures(golden[first], scales[first], own),
        level=None if level == GOLDEN else _level(design, integers, level, simulator, task, executor),
        warnings=_warnings(outputs, classes, clipped, len(images)),
    )
    return _kept(design, evaluation)


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
    design: Compiled,
    reference: Graph | None,
    images: np.ndarray,
    integers: np.ndarray,
    task: int,
    executor: Executor,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[RoutingReport, ...]]:
    """Integer outputs, float outputs and routings of all images, a batch at a time."""
    graph = design.graph.for_task(task)
    floats = _reference(design, reference, task)
    counts = {
        node.name: RoutingCount(graph, node.name, task) for node in graph if isinstance(node.op, IntegerRoute)
    }
    size = batch_size(design.graph, BATCH)
    batches = [
        (integers[start : start + size], images[start : start + size] if floats else None)
        for start in range(0, len(images), size)
    ]
    with step("golden", len(images)) as told:
        runs = executor.run(_batch, (graph, floats), batches)
        found = ordered(runs, len(batches), lambda done: _reach(told, done * size))
    for _, _, routes in found:
        for name, pair in routes.items():
            counts[name].update(*pair)
    golden, real = (
        {name: np.concatenate([part[index][name] for part in found]) for name in found[0][index]}
        for index in range(2)
    )
    return golden, real, tuple(count.report() for count in counts.values())


def _reach(told: Step, done: int) -> None:
    """So many images are done, of whole batches."""
    told.done = min(done, told.total)


def _batch(
    graphs: tuple[Graph, Graph | None], batch: tuple[np.ndarray, np.ndarray | None]
) -> tuple[Tensors, Tensors, Mapping[str, tuple[tuple[np.ndarray, np.ndarray], ...]]]:
    """Integer and float outputs by name, and both sides of each routing and of its logits, of some images."""
    (graph, floats), (integers, images) = graphs, batch
    wanted, tensors = graph.results(), evaluate(graph, integers)
    exact = evaluate(floats, images) if floats and images is not None else {}
    golden = {name: np.asarray(tensors[tensor]) for name, tensor in wanted.items()}
    real = {name: np.asarray(exact[floats.results()[name]]) for name in wanted} if floats else {}
    routes = {
        node.name: tuple(
            (tensors[name], exact.get(name, tensors[name])) for name in (node.name, node.inputs[0])
        )
        for node in graph
        if isinstance(node.op, IntegerRoute)
    }
    return golden, real, routes


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


def _level(
    design: Compiled, integers: np.ndarray, level: str, simulator: str, task: int, executor: Executor | None
) -> LevelFigures:
    """Run every image at a level; raises `Mismatch` with the first difference."""
    given, count = dataclasses.replace(design, samples=Samples(integers)), len(integers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # `_warnings` says it
        if executor is None:
            done = simulate(given, level=level, simulator=simulator, samples=count, task=task)
        else:
            done = simulate_parts(given, executor, level=level, simulator=simulator, samples=count, task=task)
    cycles = [item[CYCLES.title] for item in done.counters]
    return LevelFigures(
        level=level,
        simulator=done.simulator,
        elements=done.elements,
        cycles=(min(cycles), max(cycles)) if cycles else None,
    )


def _kept(design: Compiled, found: Evaluation) -> Evaluation:
    """The evaluation, its figures written into the build folder; a warning where that fails.

    A run of hours is not lost for a full disk.
    """
    figures = _figures(found)
    if design.directory is None or not figures.known or not writable(design.directory):
        return found
    try:
        evaluated.store(design, found.task, figures)
    except UsageError as error:
        text = f"the report will not show these figures: {'; '.join(item.what for item in error.problems)}"
        return dataclasses.replace(found, warnings=(*found.warnings, text))
    return found


def _figures(found: Evaluation) -> Evaluated:
    """What the report shows of an evaluation."""
    named = [item.name for item in dataclasses.fields(Shares)]
    outputs = [Noise(name=item.name, db=item.db, centred_db=item.centred_db) for item in found.outputs]
    return Evaluated(
        images=found.images,
        level=found.level.level if found.level else GOLDEN,
        simulator=found.level.simulator if found.level else "",
        shares=Shares(**{name: getattr(found.classes, name) for name in named} if found.classes else {}),
        outputs=tuple(outputs) if found.reference else (),
    )


def _warnings(
    outputs: tuple[OutputFigures, ...], classes: ClassFigures | None, clipped: int, images: int
) -> tuple[str, ...]:
    found = [constant_text(item.name, images) for item in outputs if item.constant]
    if classes and classes.same:
        decibel = outputs[0].db if outputs[0].centred_db is None else outputs[0].centred_db
        if decibel is not None and differing(classes.same.count, images, decibel):
            found.append(few_as_float(classes.same.count, images, "images"))
    if clipped:
        found.append(
            f"{clipped} of {images} images have more than {CLIPPED_SHARE:.0%} of their pixels outside the "
            "range of the calibration images; give them the same preprocessing"
        )
    return tuple(found)
