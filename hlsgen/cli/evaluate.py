# SPDX-License-Identifier: Apache-2.0
"""`hlsgen evaluate`."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.cli.answer import Answer
from hlsgen.cli.place import check_file, write_file
from hlsgen.cli.simulate import design_logs, preprocessing
from hlsgen.cli.values import jobs_options, model_options, natural, path, positive
from hlsgen.errors import CaptureWarning
from hlsgen.progress import plans
from hlsgen.progress.steps import logs_in, plan, step

if TYPE_CHECKING:
    import numpy as np

    from hlsgen.design import Design
    from hlsgen.evaluation.evaluation import Evaluation
    from hlsgen.frontend.inputs.images import Data
    from hlsgen.ir import Graph

HELP = "accuracy of a build folder on images: float, integer, C++ and RTL"
EPILOG = """levels:
  golden   the integer model alone
  program, csim, rtl, soc   that level has to give golden's integers for every image, as in hlsgen simulate

Figures of the float model need the model: --model names it, a shipped example is known.
example:
  hlsgen evaluate build/digits --level rtl
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The build folder, the images, the level and the float model."""
    parser.add_argument("directory", metavar="DIR", type=path, help="build folder")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=path,
        help="images and classes: .npy, .npz, or a folder of them or of pictures (default: an example's own)",
    )
    parser.add_argument(
        "--preprocessing", metavar="FILE", type=path, help="preprocessor_config.json for pictures"
    )
    parser.add_argument(
        "--level",
        choices=("golden", "program", "csim", "rtl", "soc"),
        default="golden",
        help="what runs the images (default: %(default)s)",
    )
    parser.add_argument(
        "--simulator",
        choices=("verilator", "icarus"),
        default="verilator",
        help="of level rtl (default: %(default)s)",
    )
    parser.add_argument("--samples", metavar="N", type=positive, help="images to run (default: all)")
    parser.add_argument("--task", metavar="T", type=natural, help="of several tasks (default: all of them)")
    parser.add_argument("--model", metavar="MODEL", type=path, help="the float model, as for hlsgen compile")
    model_options(parser)
    jobs_options(parser)
    parser.add_argument("--page", metavar="FILE", type=path, help="also write a page with pictures")


def run(options: argparse.Namespace) -> Answer:
    """Call `Design.evaluate` for each task."""
    check_file(options.page)
    plan(*plans.evaluate(options.level))
    with step("load"):
        from hlsgen.design import Design
        from hlsgen.executors.choose import asked_executor

        design = Design.load(options.directory)
        runner = asked_executor(options.jobs, options.dask)
    logs_in(design_logs(options.directory))
    with step("images"):
        data = _data(options, design)
    with step("float model"):
        reference, own, notes = _reference(options, design, data)
    tasks = range(design.graph.tasks) if options.task is None else [options.task]
    found = [
        design.evaluate(
            data.images,
            data.labels,
            reference=reference,
            own=own,
            level=options.level,
            simulator=options.simulator,
            task=task,
            executor=runner,
        )
        for task in tasks
    ]
    lines = [_text(item, len(found) > 1) for item in found]
    if options.page:
        lines.append(f"written to {_write(options.page, design, data, found)}")
    warned = dict.fromkeys([*notes, *(text for item in found for text in item.warnings)])
    return Answer({"tasks": [item.data() for item in found]}, "\n".join(lines), warnings=tuple(warned))


def _text(found: Evaluation, several: bool) -> str:
    head = [f"task {found.task}"] if several else []
    tail = [] if found.reference else ["float      not known: --model names the model"]
    return "\n".join([*head, str(found), *tail])


def _shipped(design: Design) -> str | None:
    """The example that the design was made of, or nothing."""
    from hlsgen.frontend.inputs.shipped import SHIPPED

    name = design.notes.get("model")
    return name if name in SHIPPED else None


def _data(options: argparse.Namespace, design: Design) -> Data:
    """The images that are asked for."""
    from hlsgen.errors import CalibrationError, Problem
    from hlsgen.frontend.inputs.images import Data, load_data
    from hlsgen.frontend.inputs.preprocessing import settings_of

    spec = options.data or _shipped(design)
    if spec is None:
        fix = "--data names them, see hlsgen compile --help for what they may be"
        raise CalibrationError(Problem("images are needed", fix=fix))
    settings = options.preprocessing or preprocessing(design)
    settings = settings or (settings_of(options.model) if options.model else None)
    shape = design.graph.input_type.shape
    data = load_data(spec, heldout=True, shape=shape, preprocessing=settings)
    count = options.samples or len(data.images)
    return Data(data.images[:count], None if data.labels is None else data.labels[:count])


def _reference(
    options: argparse.Namespace, design: Design, data: Data
) -> tuple[Graph | None, np.ndarray | None, list[str]]:
    """The float Graph where the model is known, its own runtime's output, and what was said on the way."""
    from hlsgen.frontend.inputs.model import load_model
    from hlsgen.frontend.quantizers import own_runtime
    from hlsgen.pipeline import capture

    spec = options.model or _shipped(design)
    if spec is None:
        return None, None, []
    loaded = load_model(spec, design.graph.input_type.shape, options.weights)
    outputs = options.outputs or design.graph.names or None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CaptureWarning)
        graph = capture(loaded.model, loaded.example, outputs, image=data.images[:1], compare=options.compare)
    runtime = own_runtime(loaded.model, outputs)
    own = None if runtime is None else runtime(data.images)
    return graph, own, [text for text in (loaded.note, *(str(item.message) for item in caught)) if text]


def _write(place: str, design: Design, data: Data, found: list[Evaluation]) -> Path:
    """The page's path; raises `UsageError` where it can't be written."""
    from hlsgen.evaluation.page import evaluation_page

    title: Any = design.notes.get("model", "accelerator")
    text = evaluation_page(str(title), data.images, found)
    write_file(Path(place), text)
    return Path(place)
