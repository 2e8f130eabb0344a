# SPDX-License-Identifier: Apache-2.0
"""Scores as text: lines for a terminal, tables for docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.figures import Classes, Difference, Features
from benchmarks.accuracy.score import Score
from hlsgen.display.share import Share
from hlsgen.quantization.routing import RoutingReport

BEGIN = "<!-- figures: python -m benchmarks.accuracy --write -->"
END = "<!-- end of figures -->"


def lines(score: Score) -> list[str]:
    """One score for a terminal."""
    head = (
        f"{score.subject}, {score.options}: {score.images} images, {score.calibration} to calibrate; "
        f"quantized in {score.quantize_seconds:.0f} s, golden {score.golden_seconds:.0f} s"
    )
    return [
        head,
        *(f"  {_feature_text(item)}" for item in score.features),
        *(f"  {text}" for item in score.classes if item for text in _class_lines(item)),
        *(f"  {_routing_text(item)}" for item in score.routing),
        *(f"  warning: {text}" for text in score.warnings),
    ]


def _decibel(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f} dB"


def _feature_text(item: Features) -> str:
    cosine = f"cosine {item.cosine:.4f} (least {item.least_cosine:.4f})"
    return f"{item.name}: {_decibel(item.db)}, {_decibel(item.centred_db)} centred, {cosine}"


def _class_lines(item: Classes) -> list[str]:
    found = [("float", item.floats), ("integer", item.integers), ("same class", item.same)]
    result = [f"{name}: {share}" for name, share in found if share is not None]
    return result if item.drop is None else [*result, f"lost: {_points(item.drop)}"]


def _points(item: Difference) -> str:
    low, high = 100 * item.low, 100 * item.high
    return f"{100 * item.value:+.2f} points ({low:+.2f} to {high:+.2f})"


def _routing_text(item: RoutingReport) -> str:
    return f"{item.name}, task {item.task}: {item.agreement}"


def _agreeing(item: RoutingReport) -> Share:
    return Share(item.agreeing, item.tokens)


def section(scores: Sequence[Score]) -> str:
    """The tables of the page."""
    return "\n".join([*_feature_table(scores), "", *_class_table(scores), "", *_routing_table(scores)])


def _feature_table(scores: Sequence[Score]) -> list[str]:
    rows = [
        f"| {score.subject} | {item.name} | {score.images} | {_decibel(item.db)} | "
        f"{_decibel(item.centred_db)} | {item.cosine:.4f} | {item.least_cosine:.4f} |"
        for score in scores
        for item in score.features
    ]
    head = "| model | output | images | signal to noise | centred | mean cosine | least |"
    return [head, "|---|---|---|---|---|---|---|", *rows]


def _class_table(scores: Sequence[Score]) -> list[str]:
    rows = [
        f"| {score.subject}{_task(score, task)} | {_share(item.floats)} | {_share(item.integers)} | "
        f"{_points(item.drop)} | {_share(item.same)} |"
        for score in scores
        for task, item in enumerate(score.classes)
        if item and item.drop
    ]
    head = "| model | float top-1 | integer top-1 | lost | same class |"
    return [head, "|---|---|---|---|---|", *rows]


def _task(score: Score, task: int) -> str:
    return f", task {task}" if len(score.classes) > 1 else ""


def _share(share: Share | None) -> str:
    if share is None:
        return "-"
    low, high = share.interval
    return f"{share.value:.2%} ({low:.1%} to {high:.1%})"


def _routing_table(scores: Sequence[Score]) -> list[str]:
    rows = [
        f"| {score.subject}, task {item.task} | {item.name} | {item.tokens} | {_share(_agreeing(item))} | "
        f"{item.ties} | {item.near} | {item.near_others} of {item.tokens - item.agreeing} |"
        for score in scores
        for item in score.routing
    ]
    head = "| model | routing | tokens | same experts | ties | near-ties | of the others |"
    return [head, "|---|---|---|---|---|---|---|", *rows]


def write(page: Path, scores: Sequence[Score]) -> None:
    """Put the tables between the marks of the page."""
    text = page.read_text("utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{page} must hold {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{section(scores)}\n\n{END}{after}", "utf-8")
