# SPDX-License-Identifier: Apache-2.0
"""A kept result is that of the same case on the same sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.kept import kept, sources


def test_a_result_is_measured_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def measure() -> Any:
        calls.append(1)
        return len(calls)

    first, other = Case(model="digits", array=(1, 1, 1)), Case(model="digits", array=(1, 1, 2))
    assert [kept(case, measure, tmp_path) for case in (first, first, other, first)] == [1, 1, 2, 1]


def test_any_source_counts(tmp_path: Path) -> None:
    for part in ("hlsgen", "rtl"):
        (tmp_path / part).mkdir()
    (tmp_path / "rtl" / "a.py").write_text("a")
    first = sources.__wrapped__(tmp_path)
    (tmp_path / "rtl" / "a.py").write_text("b")
    changed = sources.__wrapped__(tmp_path)
    (tmp_path / "rtl" / "a.py").rename(tmp_path / "rtl" / "b.py")
    assert len({first, changed, sources.__wrapped__(tmp_path)}) == 3
