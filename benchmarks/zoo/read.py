# SPDX-License-Identifier: Apache-2.0
"""What depends on a library alone: a model's export, images, and the module's own results."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.zoo.entry import ABSENT, Entry, NotHere
from hlsgen.frontend.capture import examine
from hlsgen.frontend.compare import MOST
from hlsgen.frontend.read.export import Export
from hlsgen.frontend.read.run import run
from hlsgen.frontend.rules.interpret import live

_NAMED = re.compile("(?<!fl)att|msa|mhsa|gpsa|xca|former|vit|encoder", re.IGNORECASE)
"""A published model with attention has a module whose class says so; `Flatten` is none."""
_PUBLISHED = ("transformers", "timm")
_ATTENTION = ("scaled_dot_product_attention", "aten.softmax.int", "aten._softmax", "multi_head_attention")


def exported(entry: Entry) -> dict[str, Any]:
    """What depends on the library alone: the export, images, the module's own results; else the reason."""
    try:
        model, example = entry.make()
    except NotHere as reason:
        return {"kind": ABSENT, "reason": str(reason)}
    if entry.library in _PUBLISHED and not any(
        _NAMED.search(type(part).__name__) for part in model.modules()
    ):
        return {"kind": "", "attention": False}  # no need to trace it
    result = examine(model, example)
    attention = _attends(model, result.export)
    shape = next(iter(example.values())).shape if isinstance(example, Mapping) else example.shape
    images = np.random.default_rng(5).normal(size=(2, *shape[1:])).astype(np.float32)
    found = {"kind": "", "attention": attention, "export": result.export, "images": images}
    if result.export is None:
        return found | {"problems": [asdict(problem) for problem in result.problems]}
    found["results"] = _results(model, example, images)
    if result.graph is None and _differs(result.export, found["results"], images):
        found["told"] = [asdict(problem) for problem in result.problems]  # that it is no export of this model
    return found


def _differs(export: Export, results: list[list[np.ndarray]], images: np.ndarray) -> bool:
    """Whether PyTorch itself, run call by call over the export, computes something else than the module."""
    for image, leaves in zip(images, results, strict=True):
        found = run(export, [torch.from_numpy(image[None])], live(export), torch.float32)
        for tensor in (item for item in found if isinstance(item, torch.Tensor) and item.is_floating_point()):
            alike = [leaf for leaf in leaves if leaf.shape == tuple(tensor.shape)]
            errors = [np.abs(tensor.numpy() - leaf).max() / np.abs(leaf).max() for leaf in alike]
            if errors and min(errors) > MOST:
                return True
    return False


def _attends(model: torch.nn.Module, export: Export | None) -> bool:
    """Whether there is attention before the end; by the classes' names where there is no export."""
    if export is None:
        return any("attention" in type(part).__name__.lower() for part in model.modules())
    ends = {getattr(output, "name", "") for output in export.outputs}
    inner = [call.target for call in export.calls if call.name not in ends]
    return any(word in target for target in inner for word in _ATTENTION)


def _results(model: torch.nn.Module, example: Any, images: np.ndarray) -> list[list[np.ndarray]]:
    """The tensors that the module returns for each image, computed in float64 where it can."""
    double = copy.deepcopy(model).double()
    results = []
    for image in images:
        pixels = torch.from_numpy(image[None])
        with torch.no_grad():
            try:
                result = _called(double, example, pixels.double())
            except (RuntimeError, TypeError):
                result = _called(model, example, pixels)
        results.append([leaf.numpy() for leaf in _leaves(result)])
    return results


def _called(model: torch.nn.Module, example: Any, pixels: torch.Tensor) -> Any:
    return model(**dict.fromkeys(example, pixels)) if isinstance(example, Mapping) else model(pixels)


def _leaves(result: Any) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, Mapping):
        result = list(result.values())
    return [leaf for item in result for leaf in _leaves(item)] if isinstance(result, list | tuple) else []
