# SPDX-License-Identifier: Apache-2.0
"""All entries through the stages that a call asks for."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch

from benchmarks.zoo import children, hugging, judge, pytorch_image_models, read, spellings
from benchmarks.zoo.entry import Entry
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
    return {title: result for title, result in results.items() if result is not None}
