# SPDX-License-Identifier: Apache-2.0
"""The way through: capture, quantize, compile. Each is one call; `build` makes them all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from hlsgen.design import Design
from hlsgen.errors import CalibrationError, CaptureWarning, Problem, QuantizationWarning, UsageError
from hlsgen.errors.codes import Code
from hlsgen.fit.options import Asked, CompileOptions
from hlsgen.host.collector import collector_paused
from hlsgen.ir import Graph
from hlsgen.progress import plans
from hlsgen.progress.steps import Listener, Step, listening, step
from hlsgen.store.samples import Samples, kept_images, make_samples

if TYPE_CHECKING:
    from hlsgen.configuration.schema import Configuration
    from hlsgen.explore.fit import Fitter
    from hlsgen.frontend.inputs.images import Data
    from hlsgen.frontend.inputs.model import LoadedModel
    from hlsgen.frontend.inspect import InspectReport
    from hlsgen.quantization import QuantizeConfig, Quantized

_NO_MODEL = Problem(
    "a model is needed", fix="give MODEL, or `name` in the table [model] of the file that --config names"
)
_NO_CALIBRATION = Problem(
    "calibration images are needed",
    why="integer ranges come from what the model sees in use",
    fix="--calibration images.npy, some hundred preprocessed images [N, C, H, W]",
)


def capture(
    model: Any,
    example_inputs: Any = None,
    outputs: Sequence[str] | None = None,
    *,
    image: np.ndarray | None = None,
    compare: bool = True,
) -> Graph:
    """The float Graph of a PyTorch module in eval mode, or of a saved export.

    Parameters
    ----------
    model
        An `nn.Module`, or an `ExportedProgram` of `torch.export`.
    example_inputs
        For an `nn.Module` one image [1, C, H, W], a tensor or an array. Only its shape matters. A model of
        several tasks takes a tuple: the image and the number of a task.
    outputs
        Names of the outputs to keep: of a dictionary or dataclass its keys, of a tuple numbers, `a.b` of what
        is nested; `a` is all of `a`. Without names `logits` if there is such an output, else all of them.
    image
        float32 [1, C, H, W], preprocessed: the graph is compared with the model on it. Without it on the
        example, or on a random one where all pixels of the example are equal.
    compare
        False: don't compare the graph with the model.

    Warns with `CaptureWarning` where the weights are not float32, and when softmax, log_softmax or argmax at
    the end is left to the host. Raises
    `UsageError` for an output that is not there, and `UnsupportedModel` with every problem, each with the
    user's module path and source line.
    """
    from hlsgen.frontend.capture import capture as capture_torch

    with collector_paused():
        return capture_torch(model, example_inputs, outputs, image=image, compare=compare)


def quantize(graph: Graph, calibration: np.ndarray, config: QuantizeConfig | None = None) -> Quantized:
    """The integer Graph with a report of its errors.

    Parameters
    ----------
    graph
        What `capture` returned.
    calibration
        Real images [N, C, H, W], preprocessed as for the model: integer ranges come from them. Some
        hundred are enough.
    config
        Observers and widths; without it the defaults.

    Raises `UnsupportedModel` for a graph without an integer form, and `CalibrationError` when the images
    won't do. Warns with `QuantizationWarning`.
    """
    from hlsgen.quantization import QuantizeConfig
    from hlsgen.quantization import quantize as quantize_graph

    return quantize_graph(graph, calibration, config or QuantizeConfig())


def compile(  # noqa: A001 the step's name in the command line and the documentation
    graph: Graph | Quantized,
    *,
    samples: Samples | None = None,
    notes: Mapping[str, Any] | None = None,
    **options: Unpack[Asked],
) -> Design:
    """Lower an integer Graph to a design for a board.

    Parameters
    ----------
    graph
        What `quantize` returned, or an integer Graph.
    samples
        Images for `simulate`; without them seeded random ones.
    notes
        Facts for the report, ready for JSON.
    board
        Name of a shipped board, or the path of a TOML file.
    array
        Rows, columns, depth, also as text `RxCxD`; without it the board's default.
    row_width
        Rows that LOAD and DRAIN handle in a cycle: a power of two that divides the array's rows. More than 1
        costs multipliers and memory ports; it pays where rows exceed `row_width` * head dimension / depth.
    ring_bytes
        The weight ring's budget in bytes.
    attention
        Where keys and values lie: `resident` in the machine, `streamed` in external memory with two heads at
        a time in the machine.
    span
        Streamed: tiles of queries for which a head's keys and values are read once; 0: all of them.

    The cycle model chooses ring and row width where they are None, and attention where it is `auto`, within
    the board's memory (`hlsgen.fit.choice`). The design's `notes["choice"]` says what was chosen and tried.

    Raises `UsageError` for a board, an array or settings that are not possible, `UnsupportedModel` with every
    node that no command computes, and `DoesNotFit`.
    """
    from hlsgen.fit.place import lower_for

    asked = CompileOptions(**options)
    target, shape = asked.target()
    quantized, graph = (None, graph) if isinstance(graph, Graph) else (graph, graph.graph)
    lowered, choice = lower_for(graph, shape, target, asked)
    return Design(
        graph=graph,
        program=lowered.program,
        image=lowered.image,
        board=asked.board,
        samples=samples or _random_samples(graph),
        notes=dict(notes or {}) | ({"choice": choice.data()} if choice.trials else {}),
        quantization=quantized.report.as_dict() if quantized else {},
    )


def _random_samples(graph: Graph, count: int = 16) -> Samples:
    low, high = graph.input_type.integer_range
    images = np.random.default_rng(0).integers(low, high + 1, (count, *graph.input_type.shape))
    return Samples(images.astype(np.int8))


def build(
    model: str,
    directory: str | Path,
    *,
    calibration: str | None = None,
    samples: str | None = None,
    preprocessing: str | Mapping[str, Any] | None = None,
    shape: tuple[int, int, int] | None = None,
    outputs: Sequence[str] | None = None,
    weights: str | None = None,
    compare: bool = True,
    config: QuantizeConfig | None = None,
    progress: Callable[[str], None] = lambda _: None,
    **options: Unpack[Asked],
) -> Design:
    """Everything from a model's name to its build folder: what `hlsgen compile` does.

    Parameters
    ----------
    model
        A shipped example, `package.module:factory`, a file of `torch.export` (.pt2) or `torch.onnx.export`
        (.onnx), or a folder of Hugging Face with config.json and safetensors.
    directory
        The build folder.
    calibration
        `.npy`, `.npz`, or a folder of them or of pictures; a shipped example brings its own.
    samples
        The same for the images to keep for `simulate`; without it the example's held-out images, else the
        calibration images.
    preprocessing
        The `preprocessor_config.json` for pictures, or its entries; without it that of a Hugging Face MODEL,
        or of the pictures' folder.
    shape
        [C, H, W] when the factory returns no example input; else that of the calibration images.
    outputs
        As for `capture`.
    weights
        A safetensors file with the weights of an example's or a factory's model.
    compare
        False: don't compare the float Graph with the model on the first calibration image.
    config
        As for `quantize`; without it the defaults, or those of a shipped example.
    progress
        Called with the name of each step as it begins. `hlsgen.progress.show.shown` shows more.
    options
        As for `compile`.

    Raises what `capture`, `quantize`, `compile` and `Design.save` raise, `CalibrationError` for missing or
    unusable images, and `UsageError` for a MODEL that can't be found.
    """
    from hlsgen.configuration.schema import Configuration, DataSection, ModelSection

    names = tuple(outputs) if outputs is not None else None
    asked = Configuration(
        model=ModelSection(name=model, weights=weights, shape=shape, outputs=names, compare=compare),
        data=DataSection(calibration=calibration, samples=samples, preprocessing=preprocessing),
        quantizer=config or usual_quantizer(model),
        machine=CompileOptions(**options),
    )
    with listening(_Names(progress)):
        return build_configured(asked, directory)


def usual_quantizer(model: str | None) -> QuantizeConfig:
    """The quantizer where a user asks nothing of it: a shipped example may have entries of its own."""
    from hlsgen.frontend.inputs.shipped import SHIPPED
    from hlsgen.quantization.config import QuantizeConfig

    known = SHIPPED.get(model or "")
    return QuantizeConfig(**known.quantizer) if known else QuantizeConfig()


class _Names(Listener):
    """Tells the names of a compilation's steps."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def begin(self, step: Step) -> None:
        if step.name in plans.COMPILE:
            self._tell(step.name)


def build_configured(asked: Configuration, directory: str | Path, fitter: Fitter | None = None) -> Design:
    """As `build`, for a configuration; it is written into the build folder as `hlsgen.toml`.

    fitter: chooses what the configuration leaves open of the machine, its array too, and writes it there.
    """
    from hlsgen.emit.contents import save
    from hlsgen.emit.rtl_cache import Generator

    with step("check"):
        _check_request(asked, Path(directory))
    with collector_paused(), Generator() as generator:
        read = read_model(asked)
        with step("quantize"):
            quantized = quantize(read.graph, read.calibration.images, asked.quantizer)
        if fitter is not None:
            with step("fit"):
                chosen = fitter.options(quantized.graph, asked.machine, asked.quantizer.logit_width)
                asked = replace(asked, machine=chosen)
        with step("lower"):
            about = {"model": read.name, "configuration": asked.plain()}
            design = compile(quantized, notes=about, **vars(asked.machine))
            generator.start(design.program.parameters, design.rtl_target)
        with step("samples"):
            design = replace(
                design, samples=make_samples(read.graph, quantized.graph, read.kept.images, read.kept.labels)
            )
        design = _with_warnings(design, read.notes, CaptureWarning)
        design = _with_clipping(design, read.kept.images[: kept_images(design.graph)])
        return save(design, Path(directory), generator.text)


@dataclass(frozen=True)
class ReadModel:
    """What a configuration names: a model's float Graph and its images."""

    name: str
    graph: Graph
    calibration: Data
    kept: Data
    """Images to keep, or to judge by: those given, else held-out ones of an example, else the others."""
    notes: list[str]
    """What was said on the way."""


def read_model(asked: Configuration) -> ReadModel:
    """The steps before the quantizer; raises what `build` raises."""
    from hlsgen.frontend.inputs.model import load_model

    model, name = asked.model, source_of(asked)
    with step("images"):
        data, kept = _images(name, asked)
    with step("model"):
        loaded = load_model(name, model.shape or tuple(data.images.shape[1:]), model.weights)
    with step("capture"):
        graph, notes = _captured(loaded, model.outputs, data.images[:1], model.compare)
    return ReadModel(loaded.name, graph, data, kept, notes)


def _images(model: str, asked: Configuration) -> tuple[Data, Data]:
    """Images to calibrate with, and those to keep."""
    from hlsgen.frontend.inputs.images import load_data
    from hlsgen.frontend.inputs.preprocessing import settings_of
    from hlsgen.frontend.inputs.shipped import SHIPPED

    wanted, shape = asked.data, asked.model.shape
    settings = wanted.preprocessing or settings_of(model)
    given = load_data(wanted.samples, shape=shape, preprocessing=settings) if wanted.samples else None
    data = load_data(wanted.calibration or model, shape=shape, preprocessing=settings)
    return data, given or (load_data(model, heldout=True) if model in SHIPPED else data)


def _check_request(asked: Configuration, directory: Path) -> None:
    """Say what can be known to be wrong before PyTorch is loaded."""
    from hlsgen.fit.estimate import check_array
    from hlsgen.store.folder import build_folder

    source_of(asked)
    board, array = asked.machine.target()
    check_array(board, asked.machine.variant(array).parameters())
    build_folder(directory).check()


def source_of(asked: Configuration) -> str:
    """The model's name; raises `UsageError` without one, `CalibrationError` without images."""
    from hlsgen.frontend.inputs.shipped import SHIPPED

    name = asked.model.name
    if name is None:
        raise UsageError(_NO_MODEL, code=Code.MODEL)
    if asked.data.calibration is None and name not in SHIPPED:
        raise CalibrationError(_NO_CALIBRATION)
    return name


def _captured(
    loaded: LoadedModel, outputs: Sequence[str] | None, image: np.ndarray, compare: bool
) -> tuple[Graph, list[str]]:
    """The model's float Graph, and the notes on how it was loaded and captured."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CaptureWarning)
        graph = capture(loaded.model, loaded.example, outputs, image=image, compare=compare)
    return graph, [text for text in (loaded.note, *(str(item.message) for item in caught)) if text]


def _with_clipping(design: Design, images: np.ndarray) -> Design:
    """Adds a warning where the kept `images` leave the calibrated input range."""
    from hlsgen.quantization.findings import clip_warning

    text = clip_warning(images, design.graph.input_type, "the kept samples")
    return _with_warnings(design, [text] if text else [], QuantizationWarning)


def _with_warnings(design: Design, texts: list[str], kind: type[Warning]) -> Design:
    """Adds warnings to the design, and gives them."""
    for text in texts:
        warnings.warn(text, kind, stacklevel=4)
    found = [*design.quantization.get("warnings", ()), *texts]
    if not texts:
        return design
    return replace(design, quantization={**design.quantization, "warnings": found})


def inspect(
    model: str,
    shape: tuple[int, ...] | None = None,
    outputs: Sequence[str] | None = None,
    *,
    weights: str | None = None,
    compare: bool = True,
) -> InspectReport:
    """Every operator of a model, with its support and all problems at once.

    Parameters
    ----------
    model
        As for `build`.
    shape
        [C, H, W] of an image, for a factory that returns no example input.
    outputs
        As for `capture`.
    weights
        A safetensors file with the weights of an example's or a factory's model.
    compare
        False: don't compare the float Graph with the model on a random image.

    Problems are listed, not raised. Raises `UsageError` for a MODEL that can't be found.
    """
    from hlsgen.frontend.inputs.model import load_model
    from hlsgen.frontend.inspect import inspect as inspect_torch

    with step("model"):
        loaded = load_model(model, shape, weights)
    with step("capture"):
        report = inspect_torch(loaded.model, loaded.example, outputs, compare=compare)
    return replace(report, notes=(loaded.note, *report.notes)) if loaded.note else report
