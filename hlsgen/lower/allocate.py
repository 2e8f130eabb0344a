# SPDX-License-Identifier: Apache-2.0
"""Places for tensors in the residual and feature memories, by lifetime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hlsgen.errors import TypeMismatch
from hlsgen.machine.format.program import Region


@dataclass(frozen=True, kw_only=True)
class Request:
    """A tensor that needs `words` of `memory` from the command that writes it to the last that reads it.

    `reuse` names the residual tensor whose place it may take over in the same command (addition in place).
    """

    tensor: str
    memory: str
    words: int
    first: int
    last: int
    reuse: str | None = None


def allocate(requests: Iterable[Request]) -> tuple[Region, ...]:
    """First fit in order of first use; a request that ends where another begins never shares with it."""
    placed: list[Region] = []
    for request in requests:
        base = _in_place(request, placed)
        if base is None:
            base = _first_fit(request, placed)
        placed.append(
            Region(
                tensor=request.tensor,
                memory=request.memory,
                base=base,
                words=request.words,
                first=request.first,
                last=request.last,
            )
        )
    check_disjoint(placed)
    return tuple(placed)


def _in_place(request: Request, placed: list[Region]) -> int | None:
    for region in placed:
        if region.tensor == request.reuse and region.last == request.first and region.words == request.words:
            return region.base
    return None


def _first_fit(request: Request, placed: list[Region]) -> int:
    alive = sorted(
        (region.base, region.base + region.words)
        for region in placed
        if region.memory == request.memory and region.last >= request.first and region.first <= request.last
    )
    base = 0
    for start, end in alive:
        if base + request.words <= start:
            break
        base = max(base, end)
    return base


def check_disjoint(regions: list[Region]) -> None:
    """Prove that no two tensors alive at once overlap.

    A tensor may take over, exactly, the place of one whose last reader is the command that writes it; the
    lowering only asks for that where the same row is read before it is written (addition in place).
    """
    for i, a in enumerate(regions):
        for b in regions[i + 1 :]:
            overlap = a.memory == b.memory and a.base < b.base + b.words and b.base < a.base + a.words
            if not overlap or a.last < b.first or b.last < a.first:
                continue
            if (a.base, a.words) == (b.base, b.words) and a.last == b.first:
                continue
            raise TypeMismatch(f"memory map: {a.tensor} and {b.tensor} overlap in the {a.memory} memory")


def memory_words(regions: Iterable[Region], memory: str) -> int:
    """Words the memory needs (at least one)."""
    return max([1, *(region.base + region.words for region in regions if region.memory == memory)])
