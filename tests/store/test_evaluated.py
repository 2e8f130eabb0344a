# SPDX-License-Identifier: Apache-2.0
"""Figures of an evaluation in a build folder: read as they were written, for the design that they are of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support.folders import design, verilog

from hlsgen.display.share import Share
from hlsgen.emit.contents import save
from hlsgen.errors import UsageError
from hlsgen.store.evaluated import Evaluated, Noise, Shares, load, store
from hlsgen.store.paths import EVALUATED

FIRST = Evaluated(
    images=397,
    level="rtl",
    simulator="verilator",
    shares=Shares(float_first=Share(388, 397), first=Share(387, 397), same=Share(396, 397)),
    outputs=(Noise(name="head", db=41.25, centred_db=None),),
)
SECOND = Evaluated(images=3, level="golden", simulator="", shares=Shares(five=Share(0, 3)), outputs=())


def test_tasks_stand_side_by_side_and_are_read_as_written(tmp_path: Path) -> None:
    made = save(design(), tmp_path / "a", verilog)
    assert load(made) == {}
    store(made, 1, SECOND)
    store(made, 0, dataclasses.replace(FIRST, images=5))
    store(made, 0, FIRST)
    assert load(made) == {0: FIRST, 1: SECOND}
    shares = json.loads((tmp_path / "a" / EVALUATED).read_text())["tasks"]["0"]["shares"]
    assert shares["first"]["interval"] == list(Share(387, 397).interval)
    assert set(shares) == {"float_first", "first", "same"}


def test_without_labels_and_float_model_nothing_is_known() -> None:
    nothing = dataclasses.replace(SECOND, shares=Shares())
    assert (FIRST.known, SECOND.known, nothing.known) == (True, True, False)
    assert dataclasses.replace(nothing, outputs=FIRST.outputs).known


def test_figures_are_those_of_one_design(tmp_path: Path) -> None:
    """Another quantization has the same machine, thus the same build id, but other figures."""
    made, other = save(design(), tmp_path / "a", verilog), design(seed=3)
    assert made.program.parameters.build_id == other.program.parameters.build_id
    store(made, 0, FIRST)
    moved = dataclasses.replace(other, directory=made.directory)
    assert load(moved) == {}
    store(moved, 1, SECOND)
    assert load(moved) == {1: SECOND}
    assert load(made) == {}
    save(other, tmp_path / "a", verilog)
    assert not (tmp_path / "a" / EVALUATED).exists()
    assert load(other) == {}  # no folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"images": 397', '"images": []'),
        ('"count": 388', '"count": 398'),
        ('"db": 41.25', '"no": 1'),
        ('"0":', '"x":'),
    ],
)
def test_damage_is_named_and_evaluated_again(tmp_path: Path, old: str, new: str) -> None:
    made = save(design(), tmp_path / "a", verilog)
    store(made, 0, FIRST)
    place = tmp_path / "a" / EVALUATED
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load(made)
    assert str(caught.value).startswith(f"{place} must be a document of format 'hlsgen evaluated 1'")
    assert "fix: remove it, or evaluate again: hlsgen evaluate DIR" in str(caught.value)
    place.write_text(text[: len(text) // 2])
    store(made, 0, FIRST)
    assert load(made) == {0: FIRST}
