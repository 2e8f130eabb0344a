# SPDX-License-Identifier: Apache-2.0
"""Whether the float Graph computes what the model computes, on one image.

An export can differ from its model: a flag that is lost, a branch that only export takes, a conversion that
was registered for a module and computes something else.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from hlsgen.errors import Problem
from hlsgen.frontend.read.export import Export, Opaque, logits_only
from hlsgen.frontend.read.places import clean, raised_at
from hlsgen.frontend.read.run import run
from hlsgen.frontend.rules.interpret import live
from hlsgen.ir import Graph, outputs

MOST = 1e-4
"""Largest difference allowed, relative to the output's largest magnitude. float32 leaves some 1e-6."""
_WHY = "the export that hlsgen reads computes something else than the model does"
_FIX = (
    "look for code that only runs under export, and for conversions by hlsgen.nn.register; "
    "--no-compare (compare=False in Python) goes on with what was exported"
)
Compared = nn.Module | Export


def compared(model: Compared, graph: Graph, image: np.ndarray, names: Sequence[str] = ()) -> list[Problem]:
    """Problems of a graph whose outputs are not the model's.

    Parameters
    ----------
    model
        The module that was captured, or the program that was read from a file.
    graph
        Its float Graph.
    image
        float32 [1, C, H, W].
    names
        The names of the model's arguments, image first; empty: they are given by position.
    """
    problems = []
    for task in range(graph.tasks):
        mine = outputs(graph, image, task=task)
        error, problem = _against(model, mine, image, task, graph.tasks, names, torch.float32)
        if problem is None and error > MOST:
            # Rounding of float32 can be large where a model magnifies it: float64 tells it from a fault.
            exact, failed = _against(model, mine, image, task, graph.tasks, names, torch.float64)
            error = exact if failed is None else error
        if problem is None and error > MOST:
            which = f"output {task}" if graph.tasks > 1 else "the output"
            what = f"{which} of the float Graph must be the model's"
            what += f": the relative error is {error:.2g}, and must be at most {MOST:g}"
            problem = Problem(what, why=_WHY, fix=_FIX)
        if problem is not None:
            problems.append(problem)
            break
    return problems


def _against(
    model: Compared,
    mine: np.ndarray,
    image: np.ndarray,
    task: int,
    tasks: int,
    names: Sequence[str],
    kind: torch.dtype,
) -> tuple[float, Problem | None]:
    """The relative error of the graph's result `mine`, or why the model does not tell its own."""
    arguments = [torch.from_numpy(np.ascontiguousarray(image)).to(kind)]
    if tasks > 1:
        arguments.append(torch.tensor(task))
    try:
        with torch.no_grad(), _calm():
            wanted = _results(model, arguments, names, kind)
    except Exception as error:  # noqa: BLE001 - the user's forward can raise anything
        text = clean(f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0])
        what = "the model can't be run to compare the float Graph with it"
        return 0.0, Problem(what, where=raised_at(error.__traceback__), why=text, fix=_FIX)
    theirs = wanted[task if len(wanted) == tasks else 0].double().numpy()
    if theirs.size != mine.size:
        what = f"the float Graph's output must have the model's {theirs.size} elements, not {mine.size}"
        return 0.0, Problem(what, why=_WHY, fix=_FIX)
    largest = max(float(np.abs(theirs).max(initial=0.0)), np.finfo(np.float32).tiny)
    return float(np.abs(theirs.reshape(mine.shape) - mine).max(initial=0.0)) / largest, None


def _results(
    model: Compared, arguments: list[torch.Tensor], names: Sequence[str], kind: torch.dtype
) -> list[torch.Tensor]:
    """The model's output tensors, in the order in which an export has them."""
    if isinstance(model, Export):
        return _program(model, arguments, kind)
    if kind is torch.float64:
        model = copy.deepcopy(model).double()
    result = model(**dict(zip(names, arguments, strict=False))) if names else model(*arguments)
    leaves, spec = pytree.tree_flatten(result)
    refs: list[Any] = [Opaque(str(index)) for index in range(len(leaves))]
    if not spec.is_leaf():
        refs = list(logits_only(refs, spec.context, [child.num_leaves for child in spec.children()]))
    chosen = [leaves[int(item.text)] for item in refs]
    return [item for item in chosen if isinstance(item, torch.Tensor)]


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


def sample(shape: Sequence[int]) -> np.ndarray:
    """A seeded random image float32 [1, C, H, W], where there is no real one."""
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
