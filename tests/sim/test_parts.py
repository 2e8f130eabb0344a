# SPDX-License-Identifier: Apache-2.0
"""Images split over processes: the simulation is that of one process, its first difference too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.graphs import TINY, Vit, images, integer_vit

import hlsgen
from hlsgen.errors import Mismatch
from hlsgen.executors.processes import Processes
from hlsgen.machine.format.image import Image
from hlsgen.store import measured
from hlsgen.store.samples import Samples


@cache
def design(shape: Vit = TINY) -> hlsgen.Design:
    samples = Samples(images(shape, 7).astype(np.int8), np.arange(7) % 2)
    return hlsgen.compile(integer_vit(shape), samples=samples, board="kv260", array="2x2x2")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes(2)
    yield found
    found.close()


@pytest.mark.parametrize("samples", [None, 1, 5])
def test_the_interpreter_says_the_same(samples: int | None, processes: Processes) -> None:
    alone = design().simulate("program", samples=samples)
    assert design().simulate("program", samples=samples, executor=processes) == alone
    assert alone.images == (samples or 7)


def test_rtl_says_the_same_and_keeps_what_it_measured(processes: Processes, tmp_path: Path) -> None:
    saved = design().save(tmp_path / "build")
    alone = saved.simulate("rtl", samples=6)
    kept = measured.load(saved.directory, saved.program.parameters.build_id)
    (tmp_path / "build/measured.json").unlink()
    split = saved.simulate("rtl", samples=6, executor=processes)
    assert split == alone
    assert len(split.counters) == 6
    assert kept is not None
    assert measured.load(saved.directory, saved.program.parameters.build_id) == kept


def test_the_first_difference_is_that_of_one_process(processes: Processes) -> None:
    good = design()
    weights = bytearray(good.image.weights)
    weights[0] ^= 0x40
    image: Image = dataclasses.replace(good.image, weights=bytes(weights))
    bad = dataclasses.replace(good, image=image, _known={})
    with pytest.raises(Mismatch) as alone:
        bad.simulate("program")
    with pytest.raises(Mismatch) as split:
        bad.simulate("program", executor=processes)
    assert split.value.problems == alone.value.problems


def test_given_images_are_split_as_well(processes: Processes) -> None:
    real = np.random.default_rng(0).normal(size=(5, *TINY.image)).astype(np.float32) * 1e-3
    alone = design().simulate("program", samples=real, labels=np.zeros(5, int))
    assert design().simulate("program", samples=real, labels=np.zeros(5, int), executor=processes) == alone
