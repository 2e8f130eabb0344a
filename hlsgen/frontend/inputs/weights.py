# SPDX-License-Identifier: Apache-2.0
"""Weights from a safetensors file for a model that is there already: `--weights FILE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.frontend.read.bounds import printable, reason
from hlsgen.frontend.read.foreign import PICKLES, refuse_pickle
from hlsgen.frontend.rules.interpret import converted_weights
from hlsgen.frontend.rules.rule import FLOATS, NOT_FLOATS

_SAVE = "save them with safetensors.torch.save_file(model.state_dict(), FILE)"
_LISTED = 40
"""Most names of one problem."""
_KINDS = (
    (
        True,
        FLOATS,
        NOT_FLOATS,
        "store the weights of the float model: each integer times its scale",
    ),
    (False, "integers", "a cast would drop their fractions", "store integers as integers"),
)
"""Of a tensor that is floats in the model, or not: what it must be in a file, why, and what to do."""
T = TypeVar("T")


def load_weights(model: object, spec: str) -> str:
    """Put the tensors of a safetensors file into a module, each by its name; returns a note, or nothing.

    Every parameter and every saved buffer of the model must be there in its shape, and nothing else: raises
    `UsageError` with all names that are missing, unknown or of another shape, at once. Nothing is unpickled.
    """
    path = Path(spec)
    if path.suffix in PICKLES:
        refuse_pickle(path)
    if not isinstance(model, nn.Module):
        what = "--weights must go with a module:factory or a shipped example"
        raise UsageError(Problem(what, why="a saved export brings its own weights"), code=Code.WEIGHTS)
    stored = read_tensors(path)
    problems = _problems(model, stored, path)
    if problems:
        raise UsageError(problems, code=Code.WEIGHTS)
    model.load_state_dict(stored, strict=False)
    return converted_weights({name: tensor.dtype for name, tensor in stored.items()})


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; raises `UsageError` for a file that is none."""
    return _read(path, lambda tensor: tensor)


def read_types(path: Path) -> dict[str, torch.dtype]:
    """The type of each tensor of a safetensors file; raises `UsageError` for a file that is none."""
    return _read(path, lambda tensor: tensor.dtype)


def _read(path: Path, part: Callable[[torch.Tensor], T]) -> dict[str, T]:
    """A part of each tensor of a file."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: part(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except MemoryError:
        raise
    except Exception as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else reason(error)
        what = f"weights {shown(str(path))} must be a safetensors file"
        raise UsageError(Problem(what, why=printable(why), fix=_SAVE), code=Code.WEIGHTS) from error


def names_of(names: Sequence[str]) -> str:
    """Names for a message, on one line; more than 40 are counted."""
    rest = len(names) - _LISTED
    return ", ".join(map(printable, names[:_LISTED])) + (f" and {rest} more" if rest > 0 else "")


def _problems(model: nn.Module, stored: Mapping[str, torch.Tensor], path: Path) -> list[Problem]:
    """Names that are missing, unknown, of another shape or kind."""
    wanted = model.state_dict()
    there = {wanted[name].data_ptr() for name in stored.keys() & wanted.keys()}
    # Parameters that share memory are saved once.
    missing = [name for name in wanted if name not in stored and wanted[name].data_ptr() not in there]
    unknown = [name for name in stored if name not in wanted]
    both = [name for name in wanted if name in stored]
    shapes = [
        f"{name} {list(stored[name].shape)}, not {list(wanted[name].shape)}"
        for name in both
        if stored[name].shape != wanted[name].shape
    ]
    fix = _prefix(missing, unknown)
    found = (
        (missing, f"{path} lacks {len(missing)} of the model's {len(wanted)} tensors", fix),
        (unknown, f"{path} holds {len(unknown)} tensors that the model has not", fix),
        (shapes, f"{path} holds {len(shapes)} tensors of another shape", "make the model of the same size"),
    )
    problems = [Problem(what, where=names_of(names), fix=hint) for names, what, hint in found if names]
    types = [{name: tensors[name].dtype for name in both} for tensors in (stored, wanted)]
    return problems + type_problems(path, *types)


def type_problems(
    path: Path, stored: Mapping[str, torch.dtype], wanted: Mapping[str, torch.dtype]
) -> list[Problem]:
    """Floats that a file stores as integers, and integers that it stores as floats: PyTorch would cast both.

    `wanted` has the types of the model's tensors by the file's names.
    """

    problems = []
    for floats, kind, why, fix in _KINDS:
        names = [
            f"{name} {_short(stored[name])}, not {_short(wanted[name])}"
            for name in stored
            if wanted[name].is_floating_point == floats != stored[name].is_floating_point
        ]
        if names:
            what = f"{path} must hold {len(names)} of the model's tensors as {kind}"
            problems.append(Problem(what, where=names_of(names), why=why, fix=fix))
    return problems


def _short(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _prefix(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """What to do where all names differ by what they begin with."""
    for long, short, text in ((unknown, missing, "drop"), (missing, unknown, "add")):
        for name in short[:1]:
            longer = next((item for item in long if item.endswith(f".{name}")), "")
            prefix = longer.removesuffix(name)
            if prefix and {f"{prefix}{item}" for item in short} == set(long):
                return f"{text} {printable(prefix)!r} at the beginning of the file's names"
    return "save the state_dict of the same class with the same arguments"
