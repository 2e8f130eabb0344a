# SPDX-License-Identifier: Apache-2.0
"""From the text a user types for MODEL to a model."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import Problem, UsageError
from hlsgen.frontend.shipped import SHIPPED, missing, resolve

_FORMS = (
    "MODEL is the name of a shipped example "
    f"({', '.join(SHIPPED)}), package.module:factory, or a file saved by torch.export.save (.pt2)"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model for `capture`: the model, an example image [1, C, H, W] where one is known, and a name.

    The example of a model of several tasks is an image and a task.
    """

    model: Any
    example: Any
    name: str


def load_model(spec: str, shape: Sequence[int] | None = None) -> LoadedModel:
    """Load a shipped example, a `module:factory` or a .pt2 file, without unpickling anything.

    Parameters
    ----------
    spec
        What the user typed. A factory takes no arguments and returns a model in eval mode, or the model and
        an example input.
    shape
        [C, H, W] of an image, for factories that return no example.

    Raises
    ------
    UsageError
        When there is no such model.
    ToolMissing
        When PyTorch is not installed.
    """
    try:
        if spec in SHIPPED:
            item = SHIPPED[spec]
            example = _example(item.shape)
            return LoadedModel(resolve(item.factory)(), (example, 0) if item.tasks > 1 else example, spec)
        if ":" in spec and not Path(spec).exists():
            return _factory(spec, shape)
        return _file(spec)
    except ImportError as error:
        raise missing(error) from error


def _example(shape: Sequence[int]) -> np.ndarray:
    return np.zeros((1, *shape), np.float32)


def _file(spec: str) -> LoadedModel:
    path = Path(spec)
    if path.suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
        raise UsageError(
            Problem(
                f"model must not be a pickle: {spec}",
                why="unpickling a model runs code from the file",
                fix="save it with torch.export.save as .pt2, or load its weights in a factory (safetensors)",
            )
        )
    if not path.is_file():
        raise UsageError(Problem(f"there is no model {spec!r}", fix=_FORMS))
    from hlsgen.frontend.archive import load_archive

    return LoadedModel(load_archive(path), None, path.stem)


def _factory(spec: str, shape: Sequence[int] | None) -> LoadedModel:
    module, _, name = spec.partition(":")
    function: Any = _import(spec, module)
    for part in name.split("."):
        if not hasattr(function, part):
            raise UsageError(Problem(f"module {module} has no {name!r}", fix=_FORMS))
        function = getattr(function, part)
    if not callable(function):
        raise UsageError(Problem(f"{spec} must be a function that returns the model", fix=_FORMS))
    made = function()
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if shape is not None:
        example = _example(shape)
    return LoadedModel(model, example, name.rpartition(".")[2])


def _import(spec: str, module: str) -> Any:
    """Import with the working directory on the path, as `python -m` would."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UsageError(Problem(f"{spec}: there is no module {error.name!r}", fix=_FORMS)) from error
    except (ValueError, TypeError) as error:
        raise UsageError(Problem(f"{spec!r} must be package.module:factory", fix=_FORMS)) from error
    finally:
        if added:
            sys.path.remove(here)
