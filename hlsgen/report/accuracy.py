# SPDX-License-Identifier: Apache-2.0
"""A design's accuracy in the report: as it was evaluated, else on the stored samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsgen.display.share import Share
from hlsgen.quantization.routing import RoutingReport

if TYPE_CHECKING:
    from hlsgen.report.facts import Accuracy, Facts
    from hlsgen.store.evaluated import Evaluated

CENTRED = "logits, mean over images taken away"


def accuracy_lines(report: Facts) -> list[str]:
    """Lines of the report's text."""
    lines = [] if 0 in report.evaluated else _stored_lines(report.accuracy)  # samples are the first task's
    for task, found in report.evaluated.items():
        head = _task(report, task)
        lines.append(f"evaluated  {head}{_run(found)}")
        lines += [f"accuracy   {head}{label}: {text}" for label, text in _shares(found)]
        for item in found.outputs:
            db = "equal to the float model" if item.db is None else f"{item.db:.1f} dB"
            centred = item.centred_db
            db += "" if centred is None else f", {centred:.1f} dB without what images share"
            lines.append(f"noise      {head}{item.name}: {db}")
    return lines


def routing_lines(report: Facts) -> list[str]:
    """Lines of the text on experts: whether calibration's tokens go where the float model sends them."""
    found = [RoutingReport(**entry) for entry in report.design.quantization.get("routing", ())]
    return [
        f"experts    {_task(report, item.task)}{item.name}, calibration: {item.agreement}" for item in found
    ]


def accuracy_rows(report: Facts) -> list[tuple[str, str]]:
    """Labels and values of the page's headline."""
    rows = [] if 0 in report.evaluated else _stored_rows(report.accuracy)
    for task, found in report.evaluated.items():
        head = _task(report, task)
        rows.append((f"{head}evaluated", _run(found)))
        rows += [(f"{head}{label}", text) for label, text in _shares(found)]
        for item in found.outputs:
            rows.append((f"{head}{item.name}", "as float" if item.db is None else f"{item.db:.1f} dB"))
            if item.centred_db is not None:
                label = f"{head}{item.name}, mean over images taken away"
                rows.append((label, f"{item.centred_db:.1f} dB"))
    return rows


def _task(report: Facts, task: int) -> str:
    """Which task it is, where there are several."""
    return f"task {task}, " if report.design.graph.tasks > 1 else ""


def _run(found: Evaluated) -> str:
    """How many images, and what ran them."""
    level = found.level + (f" ({found.simulator})" if found.simulator else "")
    return f"{found.images:,} image{'' if found.images == 1 else 's'}, {level}"


def _shares(found: Evaluated) -> list[tuple[str, str]]:
    """Label and text of each share that is known."""
    shares = found.shares
    rows: tuple[tuple[str, Share | None], ...] = (
        ("top-1, float", shares.float_first),
        ("top-1, integer", shares.first),
        ("top-5, float", shares.float_five),
        ("top-5, integer", shares.five),
        ("same class, integer as float", shares.same),
    )
    return [(label, str(share)) for label, share in rows if share is not None]


def _stored_lines(found: Accuracy) -> list[str]:
    lines = []
    if found.integer is not None:
        before = "" if found.float is None else f"float {_percent(found.float, found.images)}, "
        integer = _percent(found.integer, found.images)
        lines.append(f"accuracy   {before}integer {integer} of {found.images} images")
    if found.logits_db is not None:
        known = found.same_class is not None
        same = f", {found.same_class} of {found.images} classes as float" if known else ""
        name = "logits    " if known else "output    "
        centred = "" if found.centred_db is None else f", {found.centred_db:.1f} dB without what images share"
        lines.append(f"{name} {found.logits_db:.1f} dB signal to quantization noise{centred}{same}")
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"


def _stored_rows(found: Accuracy) -> list[tuple[str, str]]:
    rows = []
    if found.float is not None:
        rows.append(("accuracy, float", f"{found.float / found.images:.2%} of {found.images}"))
    if found.integer is not None:
        rows.append(("accuracy, integer", f"{found.integer / found.images:.2%} of {found.images}"))
    if found.logits_db is not None:
        rows.append(("logits", f"{found.logits_db:.1f} dB"))
    if found.centred_db is not None:
        rows.append((CENTRED, f"{found.centred_db:.1f} dB"))
    elif found.logits_db is not None and found.images == 1:
        rows.append((CENTRED, "needs two images"))
    return rows
