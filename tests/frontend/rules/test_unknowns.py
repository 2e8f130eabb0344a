# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what was refused: their order, and that many unknowns take no memory."""

from __future__ import annotations

import itertools

import pytest
import torch

from hlsgen.frontend.rules.arrange import reordered
from hlsgen.frontend.rules.terms import Terms, Value
from hlsgen.frontend.rules.unknowns import plainest
from hlsgen.ir import Source, TensorType
from hlsgen.ops import Matmul


@pytest.mark.parametrize("counts", [[], [1], [4], [2, 3], [3, 1, 4], [2, 2, 2, 3], [3, 0]])
def test_the_plainest_come_first(counts: list[int]) -> None:
    every = itertools.product(*(range(count) for count in counts))
    assert list(plainest(counts)) == sorted(every, key=sum)


def test_a_call_may_join_any_number_of_unknowns() -> None:
    found = list(itertools.islice(plainest([20] * 40), 64))
    assert found[0] == (0,) * 40
    assert len(set(found)) == 64
    assert [sum(indices) for indices in found] == [0] + [1] * 40 + [2] * 23


def test_a_trial_leaves_nothing_behind() -> None:
    terms = Terms()
    image = terms.new(None, (), "image", Source(), TensorType((1, 4, 4)))
    first = terms.cached("kept", lambda: terms.new(None, (), "kept", Source(), TensorType((2, 2))))
    mark = terms.mark()
    trial = terms.cached("trial", lambda: terms.unknown((2, 2)))
    terms.forget(mark)
    assert terms.made == [image, first]
    assert terms.cached("kept", lambda: trial) is first
    assert terms.cached("trial", lambda: image) is image


@pytest.mark.parametrize(("width", "is_product"), [(1, False), (2, True)])
def test_factors_of_the_channels_of_one_token_are_no_matrix(width: int, is_product: bool) -> None:
    """Rows of one element are its channels, and wait for a layer."""
    terms = Terms()
    value = terms.value(terms.unknown((6, width)), (6, width))
    scaled = Value(value.term, value.ids, torch.arange(1.0, 7.0).double()[:, None].expand(6, width))
    found = reordered(terms, scaled)
    assert isinstance(found.term.op, Matmul) == is_product
    assert found is scaled or is_product
