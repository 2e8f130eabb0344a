# SPDX-License-Identifier: Apache-2.0
"""Weights from a safetensors file for a model that is there already: `--weights FILE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from hlsgen.errors import Problem, UsageError, shown
from hlsgen.frontend.read.bounds import printable, reason
from hlsgen.frontend.read.foreign import PICKLES, refuse_pickle
from hlsgen.frontend.rules.interpret import converted_weights

_SAVE = "save them with safetensors.torch.save_file(model.state_dict(), FILE)"
_LISTED = 40
"""Most names of one problem."""


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
        raise UsageError(Problem(what, why="a saved export brings its own weights"))
    stored = read_tensors(path)
    problems = _problems(model, stored, path)
    if problems:
        raise UsageError(problems)
    model.load_state_dict(stored, strict=False)
    return converted_weights(stored)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; raises `UsageError` for a file that is none."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except MemoryError:
        raise
    except Exception as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else reason(error)
        what = f"weights {shown(str(path))} must be a safetensors file"
        raise UsageError(Problem(what, why=printable(why), fix=_SAVE)) from error


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
    kinds = [
        f"{name} {str(stored[name].dtype).removeprefix('torch.')}"
        for name in both
        if stored[name].is_floating_point() != wanted[name].is_floating_point()
    ]
    fix = _prefix(missing, unknown)
    found = (
        (missing, f"{path} lacks {len(missing)} of the model's {len(wanted)} tensors", fix),
        (unknown, f"{path} holds {len(unknown)} tensors that the model has not", fix),
        (shapes, f"{path} holds {len(shapes)} tensors of another shape", "make the model of the same size"),
        (kinds, f"{path} holds {len(kinds)} tensors of another kind", "store floats as floats"),
    )
    return [Problem(what, where=names_of(names), fix=hint) for names, what, hint in found if names]


def _prefix(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """What to do where all names differ by what they begin with."""
    for long, short, text in ((unknown, missing, "drop"), (missing, unknown, "add")):
        for name in short[:1]:
            longer = next((item for item in long if item.endswith(f".{name}")), "")
            prefix = longer.removesuffix(name)
            if prefix and {f"{prefix}{item}" for item in short} == set(long):
                return f"{text} {printable(prefix)!r} at the beginning of the file's names"
    return "save the state_dict of the same class with the same arguments"
