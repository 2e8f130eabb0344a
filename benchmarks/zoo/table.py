# SPDX-License-Identifier: Apache-2.0
"""Results as text, for a terminal and for docs/zoo.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.zoo.entry import ABSENT
from benchmarks.zoo.judge import ACCEPTED, BAD, PLAIN, REFUSED

Results = Mapping[str, Mapping[str, Any]]

HEADER = """# The zoo

This page lists which published attention models the front end accepts.

`python -m benchmarks.zoo --level program --removal 20 --jobs 1 --write` writes it; one model needs 4 GB.
The zoo has every class of `transformers` whose only input is an image, every class of timm's registry, and
the spellings of one small vision transformer that the tests hold. Each model has a small configuration and
seeded random weights, and is taken as published: nothing is cut out. A model counts when it has attention.

An accepted model has a float Graph that equals the module within 1e-5 of its largest element. It is also
quantized and compiled for a tiny machine, and the interpreter must equal golden in every element.

For the count of lists that leave a problem out, the listed calls of refused models are replaced by what the
machine could give in their place, and the model is read again: nothing new may appear.
"""


def of_kind(results: Results, kind: str) -> list[str]:
    """Titles with that result."""
    return [title for title, result in results.items() if result["kind"] == kind]


def counted(results: Results) -> dict[str, Mapping[str, Any]]:
    """The attention models."""
    return {title: one for title, one in results.items() if one["kind"] not in (ABSENT, PLAIN)}


def problems(results: Results) -> list[tuple[str, Mapping[str, str]]]:
    """Each problem with the title of its model."""
    return [(title, one) for title, result in results.items() for one in result.get("problems", ())]


def placed(problem: Mapping[str, str]) -> bool:
    """Whether a problem has a module path or is at a line of the model's own forward, and has a line."""
    return ".py:" in problem["where"]


def summary(results: Results) -> str:
    """Counts and shares."""
    models = counted(results)
    found = problems(models)
    libraries = sorted({title.partition("/")[0] for title in models})
    plain, absent = len(of_kind(results, PLAIN)), len(of_kind(results, ABSENT))
    lines = [
        f"attention models: {len(models)}",
        f"not counted: {plain} without attention, {absent} of which no small configuration runs on one image",
    ]
    for kind in (ACCEPTED, REFUSED, *BAD):
        titles = of_kind(models, kind)
        each = ", ".join(f"{name} {sum(title.startswith(name) for title in titles)}" for name in libraries)
        lines.append(f"  {kind}: {len(titles)} ({each})" if titles else f"  {kind}: 0")
    for what, good in (
        ("with a fix", [one for _, one in found if one["fix"]]),
        ("with a name", [one for _, one in found if one.get("name")]),
        ("with a place", [one for _, one in found if placed(one)]),
    ):
        lines.append(f"problems {what}: {len(good)} of {len(found)} ({_share(len(good), len(found))})")
    return "\n".join(lines + _stages(models))


def _stages(models: Results) -> list[str]:
    """What the further stages found, where they ran."""
    lines = []
    whole = {title: one["removal"] for title, one in models.items() if "removal" in one}
    if whole:
        short = [title for title, one in whole.items() if one.get("missed")]
        lines.append(f"lists of problems that leave one out: {len(short)} of {len(whole)}")
        lines += [
            f"  {title}: {one['where']}: {one['what']}" for title in short for one in whole[title]["missed"]
        ]
    run = {title: one["program"] for title, one in models.items() if "program" in one}
    if not run:
        lines.append("compiled and equal at level program: not run")
    else:
        equal = sum(bool(one.get("images")) for one in run.values())
        lines.append(f"compiled and equal at level program: {equal} of {len(run)}")
        lines += [f"  {title}: {one['refused']}" for title, one in run.items() if one.get("refused")]
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def named(result: Mapping[str, Any]) -> list[str]:
    """What stands in a model's way, in short, each once."""
    return list(dict.fromkeys(one.get("name") or one["what"] for one in result.get("problems", ())))


def lines(results: Results) -> list[str]:
    """One line for each model."""
    found = []
    for title, result in counted(results).items():
        what = "; ".join(named(result)) or result.get("reason", "")
        found.append(f"{result['kind']:10} {title}" + (f": {what}" if what else ""))
    return found


def causes(results: Results) -> list[tuple[str, int]]:
    """What stands in the way of how many models."""
    models = counted(results)
    return Counter(name for result in models.values() for name in named(result)).most_common()


def page(results: Results) -> str:
    """The text of docs/zoo.md."""
    rows = ["| model | answer | what stands in the way |", "| --- | --- | --- |"]
    for title, result in counted(results).items():
        rows.append(f"| {title} | {result['kind']} | {_cell('; '.join(named(result)))} |")
    ways = ["| what stands in the way | models |", "| --- | --- |"]
    ways += [f"| {_cell(name)} | {count} |" for name, count in causes(results)]
    parts = [
        HEADER.rstrip(),
        f"```text\n{summary(results)}\n```",
        "## Causes",
        "\n".join(ways),
        "## Models",
        "\n".join(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def bad(results: Results) -> Sequence[str]:
    """What must never happen, one line each."""
    return [
        f"{result['kind']}: {title}: {result.get('reason', '')} {result.get('error', '')}".rstrip()
        for title, result in results.items()
        if result["kind"] in BAD
    ]
