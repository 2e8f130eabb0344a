# SPDX-License-Identifier: Apache-2.0
"""PyTorch to the float Graph: `capture`."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from hlsgen.errors import CaptureWarning, Problem, UnsupportedModel, UsageError
from hlsgen.errors.codes import Code
from hlsgen.frontend.compare import Asked, compared
from hlsgen.frontend.quantizers import with_quantizers
from hlsgen.frontend.read.containers import foreign, returning_known
from hlsgen.frontend.read.decisions import decided
from hlsgen.frontend.read.export import Export, Input, Opaque
from hlsgen.frontend.read.leaves import choose, notes_on, to_host
from hlsgen.frontend.read.places import clean, raised_at
from hlsgen.frontend.read.precision import export_in_float32
from hlsgen.frontend.read.quantizers import Stripped, stripped
from hlsgen.frontend.read.torch_export import from_exported, quiet_export
from hlsgen.frontend.rules.canonical import check, emit
from hlsgen.frontend.rules.interpret import Reader, converted_weights, listed, merged, weight_problems
from hlsgen.frontend.rules.routing import THREE_WAYS
from hlsgen.frontend.rules.terms import Term
from hlsgen.ir import Graph
from hlsgen.nn import converted, has_registered
from hlsgen.quantizers import probe

Model = nn.Module | ExportedProgram | Export


@dataclass
class Capture:
    """All that is known about a model: the export, what became of its calls, the graph or the problems."""

    export: Export | None = None
    status: dict[str, str] = field(default_factory=dict)
    graph: Graph | None = None
    problems: tuple[Problem, ...] = ()
    notes: list[str] = field(default_factory=list)
    """What was changed on the way in, and a user should know."""
    terms: tuple[Term, ...] = ()
    """All that was understood, in order."""
    outputs: tuple[Term, ...] = ()


def capture(
    model: Model,
    example_inputs: Any = None,
    outputs: Sequence[str] | None = None,
    *,
    image: np.ndarray | None = None,
    compare: bool = True,
) -> Graph:
    """Turn a model in eval mode into its float Graph.

    Parameters
    ----------
    model
        An `nn.Module`, an `ExportedProgram`, or what `load_model` read from a file.
    example_inputs
        For an `nn.Module`: one float32 image [1, C, H, W], a tensor or an array, or a tuple of one, or a
        mapping of one from the argument's name (`pixel_values`). Only its shape matters. A model of several
        tasks takes a tuple or mapping of two: the image and any task number; it returns a tuple with the
        outputs of each task, or those for all.
    outputs
        Names of the outputs to keep, as `hlsgen.frontend.read.leaves.choose` has them.
    image
        float32 [1, C, H, W]: the image on which the graph is compared with the model. Without it the
        example, where it holds more than one number, else a random one.
    compare
        False: don't compare.

    Warns with `CaptureWarning` where the weights are not float32, and when softmax, log_softmax or argmax at
    the model's end is left to the host.

    Raises
    ------
    UsageError
        For an output that is not there.
    UnsupportedModel
        With every problem found, each with the user's module path and source line.
    """
    result = examine(model, example_inputs, outputs, image=image, compare=compare)
    for note in result.notes:
        warnings.warn(note, CaptureWarning, stacklevel=2)
    if result.graph is None:
        raise UnsupportedModel(result.problems)
    return result.graph


def examine(
    model: Model,
    example_inputs: Any = None,
    outputs: Sequence[str] | None = None,
    *,
    image: np.ndarray | None = None,
    compare: bool = True,
) -> Capture:
    """Like `capture`, but return problems and notes instead of raising them and warning."""
    threads = torch.get_num_threads()
    # Index arithmetic is too short to share between threads.
    torch.set_num_threads(1)
    try:
        return _examine(model, example_inputs, outputs, image, compare)
    finally:
        torch.set_num_threads(threads)


def _examine(
    model: Model,
    example_inputs: Any,
    outputs: Sequence[str] | None,
    image: np.ndarray | None,
    compare: bool,
) -> Capture:
    result = Capture()
    problems: list[Problem] = []
    names: tuple[str, ...] = ()
    if isinstance(model, nn.Module):
        names, examples = _named(example_inputs)
        image = _telling(examples[0]) if image is None else image
        model = _module_in_float32(model, result.notes)
        inputs = (_example(examples[0], problems), *map(_task, examples[1:]))
        result.export = _export(model, names, inputs, problems)
    elif isinstance(model, ExportedProgram):
        result.export = from_exported(model)
    elif isinstance(model, Export):
        result.export = model
    else:
        raise UsageError(f"model must be an nn.Module or an ExportedProgram, not {type(model).__name__!r}")
    if result.export is not None and not isinstance(model, nn.Module):
        result.export = _program_in_float32(result.export, result.notes)
    if result.export is not None:
        plain = stripped(result.export)
        result.export, left = to_host(choose(plain.export, outputs))
        result.notes += notes_on(result.export, left)
        problems += plain.problems
        _interpret(result, problems, plain, weights=not isinstance(model, nn.Module))
        if result.graph is not None and compare:
            shown = probe(result.graph.input_type.shape) if image is None else image
            against = model if isinstance(model, nn.Module) and not result.graph.quantizers else result.export
            problems += compared(against, result.graph, shown, Asked(names, outputs, left))
    result.problems = merged(problems)
    if problems:
        result.graph = None
    return result


def _module_in_float32(model: nn.Module, notes: list[str]) -> nn.Module:
    """The model, or its copy with float32 weights and a note."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    note = converted_weights({name: tensor.dtype for name, tensor in tensors})
    notes += [note] if note else []
    return copy.deepcopy(model).float() if note else model


def _program_in_float32(export: Export, notes: list[str]) -> Export:
    """The export in float32, with a note on what was converted."""
    changed = export_in_float32(export)
    if changed is not export:
        note = converted_weights({item.path: item.tensor.dtype for item in export.constants.values()})
        notes.append(note or "the program is converted to float32")
    return changed


def _telling(example: Any) -> np.ndarray | None:
    """The example as an image to compare on; None where all its pixels are equal."""
    if not isinstance(example, torch.Tensor | np.ndarray) or 0 in example.shape:
        return None
    pixels = torch.as_tensor(example)[:1].float().numpy()
    return pixels if pixels.min() < pixels.max() else None


def _named(example: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """The arguments' names, when the examples are a mapping, and the examples: an image, perhaps a task."""
    names: tuple[str, ...] = ()
    if isinstance(example, Mapping):
        names, example = tuple(map(str, example)), tuple(example.values())
    elif not isinstance(example, tuple | list):
        example = (example,)
    if len(example) != 1 and not (len(example) == 2 and _is_task(example[1])):
        given = ", ".join(names) or str(len(example))
        fix = f"pass the image only; the model's other arguments must have defaults; {ROWS}"
        raise UsageError(
            Problem(f"example_inputs must be one tensor, not {given or 'nothing'}", fix=fix),
            code=Code.INTERFACE,
        )
    return names, tuple(example)


def _task(example: Any) -> torch.Tensor:
    """The task as an integer scalar, so that the export does not fix it."""
    return torch.as_tensor(example).reshape(()).long()


ROWS = "tokens, or rows of a table, are rows of an image [1, 1, tokens, elements] (docs/models.md)"


def _is_task(example: Any) -> bool:
    if isinstance(example, torch.Tensor):
        return not example.is_floating_point() and example.numel() == 1
    return isinstance(example, int | np.integer) or (
        isinstance(example, np.ndarray) and example.dtype.kind in "iu"
    )


def _example(example: Any, problems: list[Problem]) -> torch.Tensor:
    """The example as a float32 image tensor; what is wrong with it goes to `problems`."""
    fix = "pass one float32 image, for example torch.zeros(1, 3, 224, 224)"
    if isinstance(example, np.ndarray):
        example = torch.from_numpy(np.ascontiguousarray(example))
    if example is None:
        what, why = "the model's input shape is needed", "no example image was given or returned"
        fix = (
            "--shape CxHxW, for example --shape 3x224x224; in Python, example_inputs=torch.zeros(1, C, H, W)"
        )
        raise UsageError(Problem(what, why=why, fix=fix), code=Code.INTERFACE)
    if not isinstance(example, torch.Tensor):
        raise UsageError(
            Problem(f"example_inputs must be a tensor, not {type(example).__name__!r}", fix=fix),
            code=Code.INTERFACE,
        )
    if example.dim() != 4:
        what = f"example_inputs must be [1, channels, height, width], not {list(example.shape)}"
        raise UsageError(Problem(what, fix=f"{fix}; {ROWS}"), code=Code.INTERFACE)
    if not example.is_floating_point():
        kind = str(example.dtype).removeprefix("torch.")
        problems.append(Problem(f"example_inputs must be float32, not {kind}", fix=fix))
    if example.shape[0] != 1:
        what = f"example_inputs must hold 1 image, not {example.shape[0]}"
        problems.append(Problem(what, fix="pass images[:1]"))
    return example[:1].float()


def _export(
    model: nn.Module,
    names: tuple[str, ...],
    inputs: tuple[torch.Tensor, ...],
    problems: list[Problem],
) -> Export | None:
    """torch.export without decompositions; the model itself stays as it is."""
    args, kwargs = ((), dict(zip(names, inputs, strict=True))) if names else (inputs, {})
    before = len(problems)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors = {name: tensor.detach() for name, tensor in tensors.items()}
    problems += weight_problems(tensors)
    problems += _training(model)
    if len(problems) > before:
        model = copy.deepcopy(model).float().eval()
    if has_registered(model):
        model = copy.deepcopy(model)
        converted(model)
    try:
        with quiet_export(), returning_known(model):
            return from_exported(_traced(model, args, kwargs))
    except Exception as error:  # noqa: BLE001 - the user's forward can raise anything
        experts = any("expert" in name.lower() for name, _ in model.named_modules())
        problems.append(foreign(error) or _failure(error, experts=experts))
        return None


def _traced(model: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    """The export; where a number of a tensor decides what is done, with the numbers of constants."""
    try:
        return torch.export.export(model, args, kwargs)
    except Exception:
        with contextlib.suppress(Exception), decided(model, args, kwargs):
            return torch.export.export(model, args, kwargs)
        raise


def _is_undecided(error: Exception) -> bool:
    return "DataDependent" in type(error).__name__ or "data-dependent" in str(error)


def _training(model: nn.Module) -> list[Problem]:
    names = [name for name, module in model.named_modules() if module.training]
    if not names:
        return []
    where = "" if "" in names else listed(names)
    what = "model must be in eval mode, not in training mode"
    return [Problem(what, where=where, fix="call model.eval() first")]


_EXPERTS = f"""{THREE_WAYS}. An example:
    @hlsgen.nn.register(YourMixture)
    def convert(module):
        moe = hlsgen.nn.MoE(width, hidden, experts=len(module.experts), k=module.k)
        with torch.no_grad():
            moe.router_weight[0] = module.router.weight
            for i, expert in enumerate(module.experts):
                moe.fc1_weight[i], moe.fc1_bias[i] = expert.fc1.weight, expert.fc1.bias
                moe.fc2_weight[i], moe.fc2_bias[i] = expert.fc2.weight, expert.fc2.bias
        return moe"""


def _failure(error: Exception, *, experts: bool) -> Problem:
    """An export that failed: control flow that depends on data, or an error of the model itself."""
    where, text = raised_at(error.__traceback__), clean(str(error).strip().partition("\n")[0])
    if _is_undecided(error):
        return Problem(
            "control flow must not depend on the input's values",
            where=where,
            why="hardware runs one fixed program for every image; the rest is judged once the model exports",
            fix=_EXPERTS if experts else "replace the branch by torch.where, or decide it outside the model",
            name="mixture of experts" if experts else "decision by the image",
            code=Code.EXPORT,
        )
    return Problem(
        "torch.export can't trace the model",
        where=where,
        code=Code.EXPORT,
        why=f"{type(error).__name__}: {text}",
        fix="make torch.export.export(model, (image,)) work; hlsgen reads what it returns",
        name="forward that can't be traced",
    )


def _interpret(result: Capture, problems: list[Problem], plain: Stripped, *, weights: bool) -> None:
    export = result.export
    if export is None:
        return
    if weights:
        problems += weight_problems({item.path: item.tensor for item in export.constants.values()})
    entrance = _entrance(export)
    problems += entrance + _results(export)
    image = export.inputs[0] if export.inputs else None
    if entrance or not isinstance(image, Input):
        return
    reader = Reader(export, image)
    reading = reader.run()
    result.status = reading.status
    if reading.free:
        free = ",".join(reading.free)
        result.notes.append(f"nothing is refused on the way to some outputs: try --outputs {free}")
    result.terms, result.outputs = tuple(reader.terms.made), reading.outputs
    problems += reading.problems
    if reading.outputs:
        problems += check(*reading.outputs)
        if not problems:
            made = emit(*reading.outputs, names=reading.names, views=reading.views, early=reading.order)
            result.graph = with_quantizers(made, export, plain)


def _entrance(export: Export) -> list[Problem]:
    """Problems of inputs: nothing can be read without them."""
    problems = []
    if len(export.inputs) != 1 and not (len(export.inputs) == 2 and _is_task_input(export.inputs[1])):
        problems.append(Problem(f"model must have one input, not {len(export.inputs)}"))
    elif not isinstance(export.inputs[0], Input):
        problems.append(Problem("the model's input must be a tensor"))
    else:
        problems += _image(export.inputs[0])
    return problems


def _results(export: Export) -> list[Problem]:
    """Problems of outputs and state: all that is inside is read all the same."""
    problems = []
    if not export.outputs:
        fix = "return the result of the last norm or linear layer"
        problems.append(Problem("the model must return a tensor, not None", fix=fix, name="no output"))
    if export.mutations:
        what, why = "forward must not write to the model's state", "hardware keeps no state between images"
        fix = "compute it from the image alone, or keep it outside the model"
        problems.append(Problem(what, where=listed(export.mutations), why=why, fix=fix, name="state"))
    return problems


def _is_task_input(item: Input | Opaque) -> bool:
    return isinstance(item, Input) and item.shape in ((), (1,)) and item.dtype in (torch.int64, torch.int32)


def _image(image: Input) -> Sequence[Problem]:
    symbols = [f"{axis} ({size})" for axis, size in enumerate(image.shape) if isinstance(size, str)]
    problems = []
    if symbols:
        problems.append(
            Problem(
                f"input shape must be static, not dynamic in dimension {', '.join(symbols)}",
                fix="export without dynamic_shapes, with one image as the example",
            )
        )
    elif len(image.shape) != 4 or image.shape[0] != 1:
        fix = "export the model with one image as the example: torch.export.export(model, (images[:1],))"
        what = f"input must be [1, channels, height, width], not {list(image.shape)}"
        problems.append(Problem(what, fix=fix))
    if image.dtype is not torch.float32:
        problems.append(Problem(f"input must be float32, not {str(image.dtype).removeprefix('torch.')}"))
    return problems
