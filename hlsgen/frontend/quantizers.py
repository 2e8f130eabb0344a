# SPDX-License-Identifier: Apache-2.0
"""The quantizers of a model, with fingerprints by which the quantizer of hlsgen finds their tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.frontend.compare import Asked, results_of
from hlsgen.frontend.read.export import GETITEM, Export, Input, uses
from hlsgen.frontend.read.leaves import choose, to_host
from hlsgen.frontend.read.places import clean
from hlsgen.frontend.read.quantizers import Found, Stripped, stripped
from hlsgen.frontend.read.run import run
from hlsgen.frontend.read.torch_export import from_exported
from hlsgen.frontend.rules.interpret import live
from hlsgen.frontend.rules.views import SAME, VIEWS
from hlsgen.ir import Graph
from hlsgen.progress.steps import step
from hlsgen.quantizers import Fingerprint, Quantizer, fingerprint, probe

OwnRuntime = Callable[[np.ndarray], np.ndarray]
"""Images [N, C, H, W] -> the first output of the model with its quantizers, [N, elements]."""
_MOVES = {*SAME, *VIEWS, GETITEM}
"""Calls whose result is a part of their argument, or the whole of it in another order."""


def with_quantizers(graph: Graph, export: Export, plain: Stripped) -> Graph:
    """The float Graph of a stripped export, with the quantizers that were on it; the same one without any."""
    if not plain.quantized:
        return graph
    seen = _fingerprints(export, plain.found)
    made = [_made(item, seen[item.of]) for item in plain.found if item.of in seen]
    return dataclasses.replace(graph, quantizers=tuple(made))


def _made(item: Found, seen: tuple[Fingerprint, ...]) -> Quantizer:
    scheme = item.scheme
    return Quantizer(
        item.name, item.where, float(scheme.scale), int(scheme.zero), scheme.low, scheme.high, seen
    )


def _fingerprints(export: Export, found: tuple[Found, ...]) -> dict[str, tuple[Fingerprint, ...]]:
    """Of each value with a quantizer and of its parts; values that the outputs don't need have none."""
    owners = _owners(export, {item.of for item in found})
    seen: dict[str, dict[Fingerprint, None]] = {item.of: {} for item in found}

    def take(name: str, value: Any) -> None:
        known = name in owners and isinstance(value, torch.Tensor)
        if known and (mark := fingerprint(value.numpy())) is not None:
            for owner in owners[name]:
                seen[owner].setdefault(mark)

    image = export.inputs[0]
    assert isinstance(image, Input)
    arguments = [torch.from_numpy(probe([int(size) for size in image.shape[1:]])).double()]
    arguments += [torch.tensor(0) for _ in export.inputs[1:]]
    take(image.name, arguments[0])
    with torch.no_grad():
        run(export, arguments, live(export), torch.float64, take)
    return {name: tuple(marks) for name, marks in seen.items() if marks}


def _owners(export: Export, names: set[str]) -> dict[str, set[str]]:
    """The quantized values that each value is a part of; a value with a quantizer of its own is its own."""
    owners = {name: {name} for name in names}
    for call in export.calls:
        if call.target in _MOVES and (reads := uses(call)):
            owners[call.name] = owners.get(call.name, set()) | owners.get(reads[0], set())
    return owners


def own_runtime(model: Any, outputs: Sequence[str] | None = None) -> OwnRuntime | None:
    """What runs a quantized model as its file says; None for a float model, a module, several tasks.

    An ONNX file is run by the evaluator of the package `onnx`, a program of torch.export call by call. It is
    None as well where the model ends with what is left to the host, for its output is not the machine's.
    """
    export = from_exported(model) if isinstance(model, ExportedProgram) else model
    if not isinstance(export, Export) or len(export.inputs) != 1:
        return None
    whole = choose(export, outputs)
    plain = choose(stripped(export).export, outputs)
    if not stripped(export).quantized or any(to_host(plain)[1]):
        return None

    def compute(images: np.ndarray) -> np.ndarray:
        rows = []
        with torch.no_grad(), step("own runtime", len(images)) as told:
            for part in told.parts(images, 1):
                image = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))
                rows.append(np.asarray(_first(whole, image), np.float64).reshape(-1))
        return np.stack(rows)

    return compute


def _first(export: Export, image: torch.Tensor) -> torch.Tensor:
    """The first output of a program for an image; raises `UsageError` where it can't be run."""
    try:
        return results_of(export, [image], Asked(), torch.float32)[0]
    except Exception as error:
        why = clean(f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0])
        fix = "leave --model out to evaluate the integers alone"
        problem = Problem("the model can't be run with its quantizers", why=why, fix=fix)
        raise UsageError(problem, code=Code.DIFFERS) from error
