# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits in ring words."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import RangeOverflow
from hlsgen.machine.format.commands import Command, ring_words_of
from hlsgen.machine.format.narrow import pack_narrow, unpack_narrow


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_unpacking_gives_back_every_weight(steps: int) -> None:
    weights = np.random.default_rng(steps).integers(-8, 8, (3, steps, 4, 2)).astype(np.int8)
    words = pack_narrow(weights)
    assert words.shape == (3, ring_words_of(steps, narrow=True), 4, 2)
    assert words.dtype == np.int8
    np.testing.assert_array_equal(unpack_narrow(words)[:, :steps], weights)
    assert not unpack_narrow(words)[:, steps:].any()


def test_a_byte_holds_the_weights_of_two_steps_the_first_one_low() -> None:
    pairs = np.stack(np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)), -1).reshape(256, 2, 1, 1)
    words = pack_narrow(pairs.astype(np.int8)).ravel().astype(np.uint8)
    first, second = pairs[:, 0].ravel(), pairs[:, 1].ravel()
    assert words.tolist() == [(a & 15) | (b & 15) << 4 for a, b in zip(first, second, strict=True)]
    assert sorted(words) == list(range(256))


@pytest.mark.parametrize("weight", [-9, 8])
def test_a_weight_beyond_4_bits_is_refused(weight: int) -> None:
    with pytest.raises(RangeOverflow, match=r"weights of 4 bits must be in -8\.\.7"):
        pack_narrow(np.full((1, 1, 1, 1), weight, np.int8))


def test_a_command_knows_how_many_words_a_block_takes() -> None:
    assert [Command(k_steps=steps, narrow=1).ring_words for steps in (1, 2, 3)] == [1, 1, 2]
    assert Command(k_steps=3).ring_words == 3
