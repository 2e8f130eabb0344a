# SPDX-License-Identifier: Apache-2.0
"""What `python -m benchmarks.compile` measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compile import BEFORE, main
from hlsgen.progress import plans


def test_the_phases_are_the_whole_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLSGEN_CACHE", str(tmp_path))
    assert main(["awkward", "--board", "ulx3s-85f", "--array", "2x4x4", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["array"] == [2, 4, 4]
    phases = {phase["name"]: phase for phase in figures["phases"]}
    assert list(phases) == [
        "start", "import", *plans.COMPILE
    ]  # fmt: skip
    assert figures["process"] == pytest.approx(sum(phase["wall"] for phase in phases.values()))
    before = sum(phases[name]["wall"] for name in (*BEFORE, "report"))
    assert figures["model_to_sources"] == pytest.approx(figures["process"] - before)
    assert phases["RTL"]["children"] > 0  # nothing came from a cache
    assert figures["bytes_written"] > 1_000_000
    assert 0 < figures["golden"] < 60
