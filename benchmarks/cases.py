# SPDX-License-Identifier: Apache-2.0
"""The cases of docs/benchmarks.md with the bars that they must meet, and what others have published."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.case import Case, Result


@dataclass(frozen=True)
class Bar:
    """What a case must reach: at most so many cycles and bytes read, at least these shares.

    useful_per_block: useful multiply-accumulates per cycle and DSP48E2 block.
    """

    cycles: int | None = None
    useful: float | None = None
    roofline: float | None = None
    read_bytes: int | None = None
    useful_per_block: float | None = None

    def met(self, result: Result) -> bool:
        """Whether the result reaches it, and the cycle model is within 1 %."""
        reached = (
            self.cycles is None or result.cycles <= self.cycles,
            self.useful is None or result.useful >= self.useful,
            self.roofline is None or result.roofline >= self.roofline,
            self.read_bytes is None or result.read_bytes <= self.read_bytes,
            self.useful_per_block is None or result.useful_per_block >= self.useful_per_block,
        )
        return all(reached) and abs(result.model_error) <= 0.01

    def __str__(self) -> str:
        parts = [
            f"≤ {self.cycles:,} cycles" if self.cycles is not None else "",
            f"≥ {self.useful:.1%}" if self.useful is not None else "",
            f"≥ {self.roofline:.0%} of the roofline" if self.roofline is not None else "",
            f"≤ {self.read_bytes / 1e6:g} MB" if self.read_bytes is not None else "",
            f"≥ {self.useful_per_block:g} per block" if self.useful_per_block is not None else "",
        ]
        return ", ".join(part for part in parts if part)


CASES: tuple[tuple[Case, Bar], ...] = (
    (Case(model="digits", array=(4, 4, 8)), Bar()),
    (Case(model="deit-tiny", array=(4, 8, 8)), Bar(cycles=5_000_000)),
    (
        Case(model="deit-tiny", array=(8, 16, 8), target="xilinx", norm_parts=2),
        Bar(cycles=1_262_162, useful_per_block=1.8),
    ),
    (
        Case(model="deit-tiny", array=(8, 16, 8), memory=64, target="xilinx", norm_parts=2, sized=True),
        Bar(cycles=1_255_000, useful_per_block=1.85),
    ),
    (Case(model="deit-tiny", array=(8, 16, 16), memory=64, row_width=2), Bar(useful=0.95)),
    (Case(model="deit-tiny-distilled", array=(8, 16, 8)), Bar()),
    (Case(model="deit-small", array=(8, 16, 8)), Bar(useful=0.975)),
    (
        Case(model="m3vit-tiny", array=(8, 16, 8), memory=64, target="xilinx", sized=True),
        Bar(cycles=870_000, useful_per_block=1.65),
    ),
    (
        Case(model="m3vit-tiny", array=(8, 16, 8), memory=64, target="xilinx", task=1),
        Bar(cycles=870_000, useful_per_block=1.65),
    ),
    (Case(model="m3vit-tiny", array=(4, 8, 8)), Bar(cycles=3_260_000, useful=0.93)),
    (Case(model="m3vit-tiny", array=(4, 8, 8), task=1), Bar(useful=0.93)),
    (Case(model="m3vit-tiny", array=(8, 16, 8)), Bar(roofline=0.95)),
    (Case(model="m3vit-tiny", array=(8, 16, 8), task=1), Bar(roofline=0.95)),
    (Case(model="m3vit-tiny-even", array=(8, 16, 8), memory=64), Bar(read_bytes=18_500_000)),
    (Case(model="m3vit-tiny-even", array=(8, 16, 8), memory=64, task=1), Bar(read_bytes=18_500_000)),
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
    Peer("Edge-MoE", "M³ViT-Tiny", "29.4 %", "arXiv 2305.18691"),
)


@dataclass(frozen=True)
class MoePeer:
    """Another accelerator for M³ViT-Tiny, on a ZCU102 at 300 MHz: cycles of an image, multiplier blocks.

    cycles: milliseconds times clock. macs_per_block: useful multiply-accumulates per cycle and block, for
    129 tokens; of Edge-MoE over all blocks of the part, since its paper has no count. megabytes: read and
    written, where they can be known.
    """

    name: str
    cycles: int
    macs_per_block: float
    megabytes: str
    source: str


MOE_PEERS = (
    MoePeer("CoQMoE", 1_940_000, 0.23, "", "arXiv 2506.08496: 6.47 ms, 1,754 DSP"),
    MoePeer("UbiMoE", 7_730_000, 0.055, "", "arXiv 2502.05602: 25.76 ms, 1,850 DSP"),
    MoePeer(
        "Edge-MoE",
        10_390_000,
        0.03,
        "120.7: weights 35.7, keys and values 78.5, scores 6.5",
        "arXiv 2305.18691 and its sources: 34.64 ms, 2,520 DSP",
    ),
)
"""Published accelerators, in the order of their cycles."""
