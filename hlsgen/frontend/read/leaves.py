# SPDX-License-Identifier: Apache-2.0
"""What a model returns, leaf by leaf: names, and which of them are wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.errors import Problem, UsageError
from hlsgen.frontend.read.export import Call, Export, Opaque, Ref, Reference

NONE = Opaque("None")
"""A leaf that the model leaves out; a number or a text, which no image changes, is one too."""
_HOST = {
    "aten.softmax.int": "softmax",
    "aten._softmax.default": "softmax",
    "aten.log_softmax.int": "log_softmax",
    "aten._log_softmax.default": "log_softmax",
    "aten.argmax.default": "argmax",
}
"""Operators whose result the host makes of the logits: the first argument, along the second one."""


@dataclass(frozen=True)
class Tree:
    """A container that a model returns: a key for each child; a child is None where it is a leaf."""

    keys: tuple[str, ...]
    children: tuple[Tree | None, ...]


def tree(context: Any, children: Sequence[Tree | None]) -> Tree:
    """A container from what describes it in an export.

    The keys of a dictionary or dataclass stand in the context, alone or in a list with other facts; a named
    tuple's class has its fields. Children of anything else have numbers.
    """
    names = getattr(context, "_fields", context)
    lists = [names, *(names if isinstance(names, list | tuple) else ())]
    for keys in lists:
        fits = isinstance(keys, list | tuple) and len(keys) == len(children) > 0
        if fits and all(isinstance(key, str | int) for key in keys):
            return Tree(tuple(map(plain, keys)), tuple(children))
    return Tree(tuple(map(str, range(len(children)))), tuple(children))


def plain(key: str | int) -> str:
    """A key as a part of an output's name: see `hlsgen.ir.OUTPUT_NAME`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", str(key)) or "_"


def leaf_names(found: Tree | None) -> tuple[str, ...]:
    """The names of all leaves in order, each by its path with dots; that of a single tensor is ''."""
    names: list[str] = []
    for name in _paths(found):
        names.append(free_name(name, names))
    return tuple(names)


def _paths(found: Tree | None) -> list[str]:
    if found is None:
        return [""]
    pairs = zip(found.keys, found.children, strict=True)
    return [f"{key}.{path}" if path else key for key, child in pairs for path in _paths(child)]


def choose(export: Export, wanted: Sequence[str] | None) -> Export:
    """The export with the wanted outputs only, in the model's order.

    A name stands for a leaf, or for all leaves below it. Without names it is the leaf `logits`, which
    classifiers of `transformers` return beside other things, else every leaf. What is None is left out.
    Raises `UsageError` for a name that is not there. Of a model with several tasks the first part of a path
    is the task; a name stands for the same leaf of each.
    """
    paths = export.names or tuple(map(str, range(len(export.outputs))))
    there = [(path, item) for path, item in zip(paths, export.outputs, strict=True) if item != NONE]
    by_task = len(export.inputs) == 2 and paths != ("",)
    known = [(*_split(path, by_task), path, item) for path, item in there]
    if wanted is None:
        first = [entry for entry in known if _below(entry[1], "logits")]
        chosen = first or known
    else:
        missing = [name for name in wanted if not any(_below(leaf, name) for _, leaf, _, _ in known)]
        if missing:
            raise _unknown(missing, [leaf or "0" for _, leaf, _, _ in known])
        chosen = [entry for entry in known if any(_below(entry[1], name) for name in wanted)]
    names = tuple(path for _, _, path, _ in chosen)
    outputs, reference = tuple(item for _, _, _, item in chosen), export.reference
    if reference is not None:
        reference = _only(reference, [paths.index(name) for name in names])
    return replace(export, outputs=outputs, names=names, reference=reference)


def _only(reference: Reference, places: Sequence[int]) -> Reference:
    def chosen(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        results = reference(inputs)
        return [results[place] for place in places]

    return chosen


def _split(path: str, by_task: bool) -> tuple[str, str]:
    """The task and the name of a leaf."""
    task, _, leaf = path.partition(".")
    return (task, leaf) if by_task else ("", path)


def _below(leaf: str, name: str) -> bool:
    return (leaf or "0") == name or leaf.startswith(f"{name}.")


def _unknown(missing: Sequence[str], leaves: Sequence[str]) -> UsageError:
    names = ", ".join(dict.fromkeys(leaves))
    what = f"outputs must be names of what the model returns, not {', '.join(map(repr, missing))}"
    return UsageError(Problem(what, why=f"the names are {names}"))


def by_task(export: Export) -> tuple[tuple[str, ...], int]:
    """The names of a run's outputs, and for how many tasks there are outputs.

    A single output has the name ''. A model with a task returns a part for each of them, or one for all.
    """
    names = export.names
    if len(export.inputs) != 2 or names == ("",):
        return (names if len(names) > 1 else ("",)), 1
    split = [_split(path, True) for path in names]
    tasks = list(dict.fromkeys(task for task, _ in split))
    each = [tuple(leaf for task, leaf in split if task == one) for one in tasks]
    if len(set(each)) > 1:
        raise UsageError(
            Problem(
                "the model must return the same outputs for each task",
                why="; ".join(f"{one}: {', '.join(leaves)}" for one, leaves in zip(tasks, each, strict=True)),
                fix="choose outputs that every task has (--outputs)",
            )
        )
    return (each[0] if len(each[0]) > 1 else ("",)), len(tasks)


def to_host(export: Export) -> tuple[Export, tuple[tuple[str, ...], ...]]:
    """The export without softmax, log_softmax or argmax at its end, and those that each output had.

    They order and scale logits, which the machine gives anyway; the host makes their results of these. The
    last one comes first.
    """
    calls = {call.name: call for call in export.calls}
    found = [_without(item, calls) for item in export.outputs]
    outputs, left = tuple(item for item, _ in found), tuple(tuple(words) for _, words in found)
    return replace(export, outputs=outputs), left


def notes_on(export: Export, left: Sequence[Sequence[str]]) -> list[str]:
    """A note on each output of which `to_host` has left something."""
    notes = [
        f"{f'output {path}'.strip()}: {' of '.join(words)} is left to the host; "
        "the accelerator gives what it is made of"
        for path, words in zip(export.names, left, strict=True)
        if words
    ]
    return list(dict.fromkeys(notes))


def _without(item: Ref | Opaque, calls: dict[str, Call]) -> tuple[Ref | Opaque, list[str]]:
    words: list[str] = []
    while isinstance(item, Ref):
        call = calls.get(item.name)
        if call is None or call.target not in _HOST or not _along_classes(call, calls):
            break
        words.append(_HOST[call.target])
        item = call.args[0]
    return item, words


def _along_classes(call: Call, calls: dict[str, Call]) -> bool:
    """Whether a call works along the last axis of a call's result with at most three axes."""
    source = calls.get(call.args[0].name) if call.args and isinstance(call.args[0], Ref) else None
    if source is None or source.shape is None or not 2 <= len(source.shape) <= 3:
        return False
    axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim")
    return axis in (-1, len(source.shape) - 1)
