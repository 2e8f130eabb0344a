# SPDX-License-Identifier: Apache-2.0
"""The search adds what helps, says what it costs, and ends at the target."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hlsgen.errors import UsageError
from hlsgen.ir import outputs
from hlsgen.quantization import QuantizeConfig
from hlsgen.quantization.tuning.search import LEAST_GAIN_DB, OPTIONS, Found, Target, search
from tests.quantization.graphs import Vit, images, random_vit

SHAPE = Vit()
GRAPH = random_vit(SHAPE)
WORST = QuantizeConfig(
    centred=False,
    activations="percentile:90",
    norm_factors="off",
    numerator_rounding="nearest",
    outliers_apart=False,
)


def _search(target: Target, config: QuantizeConfig = WORST, labels: np.ndarray | None = None) -> Found:
    return search(GRAPH, images(SHAPE, 16), images(SHAPE, 12, seed=1), target, config, labels)


def test_every_option_is_an_entry_of_the_quantizer() -> None:
    for option in OPTIONS:
        assert dataclasses.replace(QuantizeConfig(), **{option.name: option.value})


def test_options_are_kept_where_they_help() -> None:
    found = _search(Target(db=200.0))
    assert not found.met
    assert [item.option for item in found.tries] == [None, *OPTIONS]
    best = found.tries[0].quality.db
    for item in found.tries[1:]:
        assert item.kept == (item.quality.db >= best + LEAST_GAIN_DB)
        best = item.quality.db if item.kept else best
    assert best > found.tries[0].quality.db + 6
    kept = {item.option.name: item.option.value for item in found.tries if item.kept and item.option}
    assert {name: getattr(found.config, name) for name in kept} == kept
    text = str(found)
    assert "; costs nothing" in text
    assert "; not kept" in text
    assert text.endswith("the target is not met with any option")


def test_the_search_ends_at_the_target() -> None:
    all_of_them = _search(Target(db=200.0)).tries
    first = next(item for item in all_of_them if item.option and item.kept)
    found = _search(Target(db=first.quality.db))
    assert found.met
    assert found.tries[-1] == first
    assert _search(Target(db=-5.0)).config == WORST


def test_a_drop_in_points() -> None:
    labels = outputs(GRAPH, images(SHAPE, 12, seed=1)).reshape(12, -1).argmax(-1)
    found = _search(Target(drop=0.0), labels=labels)
    drops = [item.quality.drop for item in found.tries]
    assert all(drop is not None and drop >= 0.0 for drop in drops)
    assert found.met == (drops[-1] == 0.0)
    assert "points below float" in str(found)


def test_wrong_targets_are_refused() -> None:
    with pytest.raises(UsageError, match="must be decibels or points"):
        Target()
    with pytest.raises(UsageError, match="needs the images' classes"):
        _search(Target(drop=1.0))
