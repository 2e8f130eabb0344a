# SPDX-License-Identifier: Apache-2.0
"""What the defaults should reach on each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.accuracy.score import Score


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The least that is wanted. drop: points of top-1; centred: dB by output."""

    centred: Mapping[str, float] = field(default_factory=dict)
    cosine: float = 0.0
    drop: float | None = None


_VARIANT = Bar(centred={"output": 29.0}, drop=0.5)
BARS = {
    "digits": Bar(drop=0.0),
    "digits-moe": Bar(drop=0.3),
    "pairs": Bar(centred={"output": 31.0}, drop=0.3),
    "pairs-class": _VARIANT,
    "pairs-channels": _VARIANT,
    "pairs-corners": _VARIANT,
    "dinov2-s14": Bar(centred={"class token": 21.0, "patches": 24.0}, cosine=0.99),
}


def missed(score: Score) -> Iterator[str]:
    """A line for each figure below its bar."""
    bar = BARS.get(score.subject, Bar())
    for item in score.features:
        wanted = bar.centred.get(item.name)
        if wanted is not None and item.centred_db is not None and item.centred_db < wanted:
            yield f"{score.subject}, {item.name}: {item.centred_db:.1f} dB centred, {wanted:.1f} wanted"
        if item.cosine < bar.cosine:
            yield f"{score.subject}, {item.name}: cosine {item.cosine:.4f}, {bar.cosine:.4f} wanted"
    for item in score.classes:
        if bar.drop is None or item is None or item.drop is None:
            continue
        if 100 * item.drop.value > bar.drop + 1e-9:
            yield f"{score.subject}: {100 * item.drop.value:.2f} points lost, at most {bar.drop} wanted"
