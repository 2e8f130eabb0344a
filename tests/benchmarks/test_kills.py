# SPDX-License-Identifier: Apache-2.0
"""A few kills of the campaign. `tests/store/test_replace.py` has one at every change of a file, simulated."""

from __future__ import annotations

from benchmarks import kills


def test_killed_compilations_lose_nothing() -> None:
    tally = kills.run(5, seed=7)
    assert tally.faults == []
    assert sum(tally.states.values()) == 5
