# SPDX-License-Identifier: Apache-2.0
"""From the text a user types for MODEL to a model."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import HlsgenError, Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.frontend.inputs.shipped import SHIPPED, missing, resolve
from hlsgen.frontend.read.bounds import printable
from hlsgen.frontend.read.foreign import refuse_foreign

_FORMS = (
    "MODEL is the name of a shipped example "
    f"({', '.join(SHIPPED)}), package.module:factory, a file saved by torch.export.save (.pt2) or "
    "torch.onnx.export (.onnx), or a folder with config.json and safetensors"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model for `capture`: the model, an example image [1, C, H, W] where one is known, and a name.

    The example of a model of several tasks is an image and a task.
    """

    model: Any
    example: Any
    name: str
    note: str = ""
    """What was done to its weights that the user should know."""


def load_model(spec: str, shape: Sequence[int] | None = None, weights: str | None = None) -> LoadedModel:
    """Load a shipped example, a `module:factory`, a file or a folder, without unpickling anything.

    Parameters
    ----------
    spec
        What the user typed. A factory takes no arguments and returns a model in eval mode, or the model and
        an example input.
    shape
        [C, H, W] of an image, for factories that return no example, and ONNX files whose sizes are names.
    weights
        A safetensors file for the model of an example or a factory.

    Raises
    ------
    UsageError
        When there is no such model, or its file is damaged, or weights are missing.
    ToolMissing
        When PyTorch, or `onnx` or `transformers` for a model that needs it, is not installed.
    """
    loaded = _load(spec, shape)
    if weights is None:
        return loaded
    from hlsgen.frontend.inputs.weights import load_weights

    return replace(loaded, note=load_weights(loaded.model, weights))


def _load(spec: str, shape: Sequence[int] | None) -> LoadedModel:
    try:
        if spec in SHIPPED:
            item = SHIPPED[spec]
            example = _example(item.shape)
            return LoadedModel(resolve(item.factory)(), (example, 0) if item.tasks > 1 else example, spec)
        if ":" in spec and not _exists(spec):
            return _factory(spec, shape)
        return _file(spec, shape)
    except ImportError as error:
        raise missing(error) from error


def _example(shape: Sequence[int]) -> np.ndarray:
    return np.zeros((1, *shape), np.float32)


def _exists(spec: str) -> bool:
    """Whether there is a file of that name; a name that no file can have is none's."""
    try:
        return Path(spec).exists()
    except OSError:
        return False


def _file(spec: str, shape: Sequence[int] | None) -> LoadedModel:
    path = Path(spec)
    if _exists(spec) and path.is_dir():
        from hlsgen.frontend.inputs.checkpoint import is_checkpoint, load_checkpoint

        if is_checkpoint(path):
            model, example, note = load_checkpoint(path, shape)
            return LoadedModel(model, example, path.resolve().name, note)
    refuse_foreign(path, present=_exists(spec))
    if not _exists(spec):
        raise UsageError(Problem(f"there is no model {shown(spec)}", fix=_FORMS), code=Code.MODEL)
    if not path.is_file():
        raise UsageError(Problem(f"model must be a file, not {spec}", fix=_FORMS), code=Code.MODEL)
    if path.suffix == ".onnx":
        from hlsgen.frontend.read.onnx_file import load_onnx

        return LoadedModel(load_onnx(path, shape), None, path.stem)
    from hlsgen.frontend.read.archive import load_archive

    return LoadedModel(load_archive(path), None, path.stem)


def _factory(spec: str, shape: Sequence[int] | None) -> LoadedModel:
    module, _, name = spec.partition(":")
    function: Any = _import(spec, module)
    for part in name.split("."):
        if not hasattr(function, part):
            raise UsageError(Problem(f"module {module} has no {shown(name)}", fix=_FORMS), code=Code.MODEL)
        function = getattr(function, part)
    if not callable(function):
        raise UsageError(
            Problem(f"{spec} must be a function that returns the model", fix=_FORMS), code=Code.MODEL
        )
    made = _call(spec, function)
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if shape is not None:
        example = _example(shape)
    return LoadedModel(model, example, name.rpartition(".")[2])


def _import(spec: str, module: str) -> Any:
    """Import with the working directory on the path, as `python -m` would."""
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(
            Problem(f"{shown(spec)} must be package.module:factory", fix=_FORMS), code=Code.MODEL
        )
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise UsageError(
                Problem(f"{spec}: there is no module {error.name!r}", fix=_FORMS), code=Code.MODEL
            ) from error
        raise
    except HlsgenError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(f"module {module} can't be imported", error) from error
    finally:
        if added:
            sys.path.remove(here)


def _call(spec: str, function: Any) -> Any:
    """What the factory returns."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        fix = "wrap it in a function without arguments that returns the model in eval mode"
        what = f"{spec} must be callable without arguments"
        raise UsageError(Problem(what, why=printable(str(error)), fix=fix), code=Code.MODEL) from error
    except ValueError:
        pass  # a builtin tells nothing of its arguments
    try:
        return function()
    except (HlsgenError, ImportError):
        raise
    except (Exception, SystemExit) as error:
        raise _failed(f"{spec} must return the model", error) from error


def _failed(what: str, error: BaseException) -> UsageError:
    """The user's own code ended with an error."""
    from hlsgen.frontend.read.places import raised_at, short

    why = printable(f"{type(error).__name__}: {error}".partition("\n")[0])
    where = raised_at(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        where = short(error.filename, error.lineno or 0)
    return UsageError(Problem(what, where=where, why=why, fix="mend your code there"), code=Code.MODEL)
