# SPDX-License-Identifier: Apache-2.0
"""All entries through the stages that a call asks for."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch

from benchmarks.zoo import children, hugging, judge, pytorch_image_models, read, spellings
from benchmarks.zoo.entry import Entry
from benchmarks.zoo.levels import further
from benchmarks.zoo.store import Store, keep, kept
from hlsgen.frontend.capture import examine


def entries(only: list[str]) -> list[Entry]:
    """All of the installed libraries, or those whose titles hold one of the texts."""
    libraries = (spellings.entries, hugging.entries, pytorch_image_models.entries)
    found = [entry for library in libraries for entry in library()]
    return [one for one in found if not only or any(text.lower() in one.title.lower() for text in only)]


def collect(store: Store, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The result of each entry by its title."""
    torch.set_num_threads(1)
    chosen = entries(options.only)
    results = {entry.title: kept(store.answer(entry)) for entry in chosen}
    missing = [entry for entry in chosen if results[entry.title] is None]

    if missing:
        examine(
            torch.nn.Flatten().eval(), torch.zeros(1, 1, 2, 2)
        )  # children share what the first export loads

    def work(entry: Entry) -> dict[str, Any]:
        return judge.judged(store.export(entry, lambda: read.exported(entry)))

    for entry, result in children.run(missing, work, options.jobs, options.seconds):
        if result["kind"] not in (judge.HANG, judge.CRASH):
            keep(store.answer(entry), result)
        results[entry.title] = result
        if sys.stderr.isatty() or options.verbose:
            print(
                f"{result['seconds']:6.1f} s  {result['kind']:10} {entry.title}", file=sys.stderr, flush=True
            )
    found = {title: result for title, result in results.items() if result is not None}
    for level, count, kind in _stages(options):
        wanted = [entry for entry in chosen if found[entry.title]["kind"] == kind]
        _further(store, options, level, _spread(wanted, count), found)
    return found


def _stages(options: argparse.Namespace) -> list[tuple[str, int, str]]:
    """What a call asks for beyond the front end's answer: the stage, of how many models, of which result."""
    stages = [("removal", options.removal, judge.REFUSED)] if options.removal else []
    return stages + ([("program", 0, judge.ACCEPTED)] if options.level == "program" else [])


def _spread(found: list[Entry], count: int) -> list[Entry]:
    """So many of them, from the whole list; 0: all."""
    return found if not count or count >= len(found) else found[:: len(found) // count][:count]


def _further(
    store: Store,
    options: argparse.Namespace,
    level: str,
    chosen: list[Entry],
    found: dict[str, dict[str, Any]],
) -> None:
    """Put what a further stage finds beside each model's result."""

    def work(entry: Entry) -> dict[str, Any]:
        return further(level, store.export(entry, lambda: read.exported(entry)))

    results = {entry.title: kept(store.answer(entry, level)) for entry in chosen}
    missing = [entry for entry in chosen if results[entry.title] is None]
    for entry, result in children.run(missing, work, options.jobs, options.seconds):
        if result["kind"] not in (judge.HANG, judge.CRASH):
            keep(store.answer(entry, level), result)
        results[entry.title] = result
    for title, result in results.items():
        if result is not None:
            kind = found[title]["kind"] if result["kind"] == judge.DONE else result["kind"]
            found[title] = found[title] | {"kind": kind, level: result, "reason": result.get("reason", "")}
