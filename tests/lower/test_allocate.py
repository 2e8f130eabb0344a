# SPDX-License-Identifier: Apache-2.0
"""The memory map: no two tensors alive at once overlap, and additions happen in place."""

from __future__ import annotations

import pytest
from support.graphs import DIGITS, integer_vit

from hlsgen.errors import TypeMismatch
from hlsgen.lower import lower
from hlsgen.lower.allocate import Request, allocate, check_disjoint, memory_words
from hlsgen.lower.size import ArrayShape, Sweeps, cut
from hlsgen.machine.format.program import Region


def request(tensor: str, first: int, last: int, words: int = 10, reuse: str | None = None) -> Request:
    return Request(tensor=tensor, memory="features", words=words, first=first, last=last, reuse=reuse)


def test_first_fit_fills_a_gap_that_is_free_for_the_whole_life() -> None:
    regions = allocate([request("a", 0, 1), request("b", 0, 9), request("c", 2, 3, 4), request("d", 2, 5, 6)])
    assert {region.tensor: region.base for region in regions} == {"a": 0, "b": 10, "c": 0, "d": 4}
    assert memory_words(regions, "features") == 20
    assert memory_words(regions, "residual") == 1


def test_a_result_never_overwrites_what_its_own_command_reads() -> None:
    a, b = allocate([request("a", 0, 1), request("b", 1, 2)])
    assert (a.base, b.base) == (0, 10)


def test_an_addition_takes_over_the_place_of_its_addend() -> None:
    a, b = allocate([request("a", 0, 1), request("b", 1, 2, reuse="a")])
    assert (a.base, b.base) == (0, 0)


def test_overlap_is_refused() -> None:
    fields = {"memory": "features", "words": 4, "first": 0}
    regions = [Region(tensor="a", base=0, last=3, **fields), Region(tensor="b", base=2, last=3, **fields)]
    with pytest.raises(TypeMismatch, match="memory map: a and b overlap in the features memory"):
        check_disjoint(regions)


def test_the_residual_stream_of_a_transformer_has_one_place() -> None:
    program = lower(integer_vit(DIGITS), ArrayShape(rows=4, columns=4, depth=8)).program
    assert {region.base for region in program.regions if region.memory == "residual"} == {0}
    assert program.parameters.residual_words == 17 * 8


@pytest.mark.parametrize(
    ("total", "steps", "ring", "expected"),
    [
        (12, 24, 288, Sweeps(count=2, blocks=6, extra=0)),
        (12, 24, 10_000, Sweeps(count=1, blocks=12, extra=0)),
        (13, 24, 288, Sweeps(count=3, blocks=4, extra=1)),
        (5, 100, 10, Sweeps(count=5, blocks=1, extra=0)),
    ],
)
def test_sweeps_are_cut_evenly(total: int, steps: int, ring: int, expected: Sweeps) -> None:
    sweeps = cut(total, steps, ring)
    assert sweeps == expected
    assert sweeps.count * sweeps.blocks + sweeps.extra == total
