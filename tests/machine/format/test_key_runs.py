# SPDX-License-Identifier: Apache-2.0
"""Key lists as the Image holds them: every block of keys and step of values of every run, in order."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.machine.format.key_runs import most_units, pack_key_runs, unpack_key_runs
from hlsgen.machine.format.parameters import MachineParameters


@pytest.mark.parametrize(("columns", "depth"), [(4, 4), (8, 2), (2, 16)])
def test_places(columns: int, depth: int) -> None:
    p, random = MachineParameters(rows=4, columns=columns, depth=depth), np.random.default_rng(columns)
    unit, words, bases = max(columns, depth), (3, 2), (7, 50)
    longest = most_units(p)
    tiles = [[(int(first), int(count)) for first, count in random.integers(1, 9, (3, 2))] for _ in range(5)]
    tiles.append([(0, longest), (5, 1), (5, 1)])
    data = pack_key_runs(tiles, p, words, bases)
    assert len(data) == 8 * 3 * len(tiles)
    runs = np.frombuffer(data, "<u4").reshape(len(tiles), 3, 2)
    for tile, packed in zip(tiles, runs, strict=True):
        for side, lanes in enumerate((columns, depth)):
            wanted = [
                bases[side] + (at * unit + key) // lanes * words[side]
                for first, count in tile
                for at in range(first, first + count)
                for key in range(0, unit, lanes)
            ]
            assert unpack_key_runs(packed[:, side], words[side]).tolist() == wanted
