"""The cases of docs/benchmarks.md with the bars that they must meet, and what others have published."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.case import Case, Result


@dataclass(frozen=True)
class Bar:
    """What a case must reach: cycles at most, or a useful share at least."""

    cycles: int | None = None
    useful: float | None = None

    def met(self, result: Result) -> bool:
        """Whether the result reaches it, and the cycle model is within 1 %."""
        cycles = self.cycles is None or result.cycles <= self.cycles
        useful = self.useful is None or result.useful >= self.useful
        return cycles and useful and abs(result.model_error) <= 0.01

    def __str__(self) -> str:
        if self.cycles is not None:
            return f"≤ {self.cycles:,} cycles"
        return "" if self.useful is None else f"≥ {self.useful:.1%}"


CASES: tuple[tuple[Case, Bar], ...] = (
    (Case(model="digits", array=(4, 4, 8)), Bar()),
    (Case(model="deit-tiny", array=(4, 8, 8)), Bar(cycles=5_000_000)),
    (Case(model="deit-tiny", array=(8, 16, 8)), Bar(cycles=1_262_162)),
    (Case(model="deit-tiny", array=(8, 16, 8), memory=64), Bar(cycles=1_255_000)),
    (Case(model="deit-tiny", array=(8, 16, 16), memory=64, row_width=2), Bar(useful=0.95)),
    (Case(model="deit-tiny-distilled", array=(8, 16, 8)), Bar()),
    (Case(model="deit-small", array=(8, 16, 8)), Bar(useful=0.975)),
    (Case(model="m3vit-tiny", array=(8, 16, 8), memory=64), Bar(cycles=870_000)),
    (Case(model="m3vit-tiny", array=(8, 16, 8), memory=64, task=1), Bar(cycles=870_000)),
    (Case(model="m3vit-tiny", array=(4, 8, 8)), Bar(cycles=3_260_000)),
    (Case(model="m3vit-tiny", array=(8, 16, 8)), Bar()),
)


@dataclass(frozen=True)
class Peer:
    """A published figure: who, on what, the useful share of the multipliers, and where it is from."""

    name: str
    model: str
    useful: str
    source: str


PEERS = (
    Peer("ME-ViT", "ViT-B, 257 tokens, modes built one at a time", "90.6 %", "arXiv 2402.09709"),
    Peer(
        "HG-PIPE",
        "DeiT-Tiny, W3A3, 196 tokens, pipeline of layers, steady state",
        "85.6 %",
        "arXiv 2407.17879",
    ),
    Peer("Edge-MoE", "M³ViT-Tiny, 10.39 M cycles", "29.4 %", "arXiv 2305.18691"),
)
