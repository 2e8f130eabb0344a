# SPDX-License-Identifier: Apache-2.0
"""Whether the float Graph computes what the model computes, on one image.

An export can differ from its model: a flag that is lost, a branch that only export takes, a conversion that
was registered for a module and computes something else.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from hlsgen.errors import Problem
from hlsgen.errors.codes import Code
from hlsgen.frontend.read.containers import known
from hlsgen.frontend.read.export import Export, Opaque, Ref
from hlsgen.frontend.read.leaves import NONE, choose, leaf_names
from hlsgen.frontend.read.places import clean, raised_at
from hlsgen.frontend.read.run import run
from hlsgen.frontend.read.torch_export import tree_of
from hlsgen.frontend.rules.interpret import live
from hlsgen.ir import Graph, results

MOST = 1e-4
"""Largest difference allowed, relative to the output's largest magnitude. float32 leaves some 1e-6."""
_WHY = "the export that hlsgen reads computes something else than the model does"
_FIX = (
    "look for code that only runs under export, and for conversions by hlsgen.nn.register; "
    "--no-compare (compare=False in Python) goes on with what was exported"
)
Compared = nn.Module | Export


@dataclass(frozen=True)
class Asked:
    """How the model is called, and what of its results the graph has.

    arguments: the names of the model's arguments, image first; empty: they are given by position. outputs:
    names of the outputs to keep, as for `choose`. left: what of each output is left to the host, as in
    `to_host`.
    """

    arguments: Sequence[str] = ()
    outputs: Sequence[str] | None = None
    left: Sequence[Sequence[str]] = ()


def compared(model: Compared, graph: Graph, image: np.ndarray, asked: Asked = Asked()) -> list[Problem]:
    """Problems of a graph whose outputs are not the model's; of a task's, the first.

    Parameters
    ----------
    model
        The module that was captured, or the program that was read from a file, with the graph's outputs.
    graph
        Its float Graph.
    image
        float32 [1, C, H, W].
    asked
        How it was captured.
    """
    for task in range(graph.tasks):
        mine = graph.shown(results(graph, image, task=task), task)
        errors, problem = _errors(model, mine, image, task, graph.tasks, asked, torch.float32)
        if problem is None and max(errors) > MOST:
            # Rounding of float32 can be large where a model magnifies it: float64 tells it from a fault.
            exact, failed = _errors(model, mine, image, task, graph.tasks, asked, torch.float64)
            errors = exact if failed is None else errors
        if problem is not None:
            return [problem]
        each = zip(graph.for_task(task).results().items(), errors, strict=True)
        wrong = [
            _wrong(name, task, graph.tasks, error, str(graph.node(tensor).source))
            for (name, tensor), error in each
            if error > MOST
        ]
        if wrong:
            return wrong
    return []


def _wrong(name: str, task: int, tasks: int, error: float, where: str) -> Problem:
    which = f"output {name}" if name else "the output"
    which += f" of task {task}" if tasks > 1 else ""
    what = f"{which} of the float Graph must be the model's"
    what += f": the relative error is {error:.2g}, and must be at most {MOST:g}"
    return Problem(what, where=where, why=_WHY, fix=_FIX, name="export of another model", code=Code.DIFFERS)


def _errors(
    model: Compared,
    mine: Mapping[str, np.ndarray],
    image: np.ndarray,
    task: int,
    tasks: int,
    asked: Asked,
    kind: torch.dtype,
) -> tuple[list[float], Problem | None]:
    """The relative error of each of the graph's results, or why the model does not tell its own."""
    arguments = [torch.from_numpy(np.ascontiguousarray(image)).to(kind)]
    if tasks > 1:
        arguments.append(torch.tensor(task))
    try:
        with torch.no_grad(), _calm():
            wanted = results_of(model, arguments, asked, kind)
    except Exception as error:  # noqa: BLE001 - the user's forward can raise anything
        text = clean(f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0])
        what = "the model can't be run to compare the float Graph with it"
        return [0.0], Problem(
            what, where=raised_at(error.__traceback__), why=text, fix=_FIX, code=Code.DIFFERS
        )
    first = task * len(mine) if len(wanted) == tasks * len(mine) else 0
    errors = []
    for index, value in enumerate(mine.values(), first):
        theirs = wanted[index].double().numpy()
        host = asked.left[index] if isinstance(model, nn.Module) or model.reference is not None else ()
        ours = _on_host(value, host)
        if theirs.size != ours.size:
            what = f"the float Graph's output must have the model's {theirs.size} elements, not {ours.size}"
            return [0.0], Problem(what, why=_WHY, fix=_FIX, code=Code.DIFFERS)
        largest = max(float(np.abs(theirs).max(initial=0.0)), np.finfo(np.float32).tiny)
        errors.append(float(np.abs(theirs.reshape(ours.shape) - ours).max(initial=0.0)) / largest)
    return errors, None


def _on_host(value: np.ndarray, left: Sequence[str]) -> np.ndarray:
    """What the host makes of an output: the functions that the model ends with, the last one first."""
    for name in reversed(left):
        tensor = torch.from_numpy(np.asarray(value, np.float64))
        value = getattr(torch, name)(tensor, -1).numpy()
    return value


def results_of(
    model: Compared, arguments: list[torch.Tensor], asked: Asked, kind: torch.dtype
) -> list[torch.Tensor]:
    """The model's output tensors, in the order in which an export has them."""
    if isinstance(model, Export):
        return _program(model, arguments, kind)
    if kind is torch.float64:
        model = copy.deepcopy(model).double()
    named = asked.arguments
    result = model(**dict(zip(named, arguments, strict=False))) if named else model(*arguments)
    leaves, spec = pytree.tree_flatten(known(result))
    there = tuple(Ref(str(i)) if isinstance(leaf, torch.Tensor) else NONE for i, leaf in enumerate(leaves))
    inputs = tuple(Opaque("") for _ in arguments)
    whole = Export(inputs, {}, (), there, names=leaf_names(tree_of(spec)))
    return [leaves[int(item.name)] for item in choose(whole, asked.outputs).outputs if isinstance(item, Ref)]


def _program(export: Export, arguments: list[torch.Tensor], kind: torch.dtype) -> list[torch.Tensor]:
    """The outputs of a program from a file: by the file's own rules where there are such."""
    if export.reference is None:
        return [item for item in run(export, arguments, live(export), kind) if isinstance(item, torch.Tensor)]
    given = [(item.float() if item.is_floating_point() else item).numpy() for item in arguments]
    return [torch.from_numpy(np.asarray(item)) for item in export.reference(given)]


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """As an export reads it: without the fused path of attention, and without warnings."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
