# SPDX-License-Identifier: Apache-2.0
"""Softmax that is written out, in many spellings, and what is almost one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.attending import TOKENS, Attend, captured
from torch import Tensor

from hlsgen.errors import UnsupportedModel
from hlsgen.ops import Scores, Softmax

Weigh = Callable[[Tensor], Tensor]
SEEN = torch.ones(TOKENS, TOKENS).tril()
DECAY = 0.7 ** (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)).abs()


def total(e: Tensor) -> Tensor:
    return e.sum(-1, keepdim=True)


def shifted(x: Tensor) -> Tensor:
    return torch.exp(x - x.amax(-1, keepdim=True))


def of(e: Tensor) -> Tensor:
    return e / total(e)


def in_place(x: Tensor) -> Tensor:
    x -= x.amax(-1, keepdim=True)
    x.exp_()
    x /= total(x)
    return x


def filled_in_place(x: Tensor) -> Tensor:
    x.exp_().masked_fill_(SEEN == 0, 0.0)
    return x.div_(total(x))


def doubled_after_the_sum(x: Tensor) -> Tensor:
    e = x.exp()
    s = total(e)
    e *= 2
    return e / s


def kept_before(x: Tensor) -> Tensor:
    e = x.exp()
    before = e.clone()
    e /= total(e)
    return before


def share(weigh: Weigh, part: Weigh = shifted) -> Weigh:
    """What is made of powers that are taken once."""
    return lambda x: weigh(part(x))


PLAIN: dict[str, Weigh] = {
    "quotient": lambda x: of(x.exp()),
    "largest": lambda x: of(shifted(x)),
    "largest of a pair": lambda x: of(torch.exp(x - x.max(-1, keepdim=True)[0])),
    "largest, detached": lambda x: of(torch.exp(x - x.max(dim=-1, keepdim=True).values.detach())),
    "largest of all": lambda x: of(torch.exp(x - x.max())),
    "eps": share(lambda e: e / (total(e) + 1e-9)),
    "eps first": share(lambda e: e / (1e-8 + total(e))),
    "clamp": share(lambda e: e / total(e).clamp(min=1e-12)),
    "clamp_min": share(lambda e: e / total(e).clamp_min(1e-12)),
    "another dimension": share(lambda e: e / e.sum(-1)[..., None]),
    "unsqueeze": share(lambda e: e / e.sum(dim=3).unsqueeze(-1), torch.exp),
    "reciprocal": share(lambda e: e * total(e).reciprocal()),
    "one over": share(lambda e: (1 / total(e)) * e, torch.exp),
    "logsumexp": lambda x: torch.exp(x - torch.logsumexp(x, -1, keepdim=True)),
    "log_softmax": lambda x: torch.log_softmax(x, -1).exp(),
    "cast": lambda x: of(x.float().exp()).type_as(x),
    "keys first": share(lambda e: (e / e.sum(-2, keepdim=True)).mT, lambda x: x.mT.exp()),
    "divided in place": share(lambda e: e.div_(total(e))),
    "all in place": in_place,
    "twice": lambda x: of(x.softmax(-1)),
}
MASKED: dict[str, Weigh] = {
    "product": lambda x: of(x.exp() * SEEN),
    "product first": lambda x: of((SEEN > 0) * shifted(x)),
    "renormalised": lambda x: of(x.softmax(-1) * SEEN),
    "fill": lambda x: of(x.exp().masked_fill(SEEN == 0, 0.0)),
    "in place": filled_in_place,
    "largest of those seen": lambda x: of(
        torch.exp(x - x.masked_fill(SEEN == 0, -1e9).amax(-1, keepdim=True)) * SEEN
    ),
}
OTHERS: dict[str, Weigh] = {
    "eps beside any sum": share(lambda e: e / (total(e) + 1e-6), torch.exp),
    "large eps": share(lambda e: e / (total(e) + 1e-3)),
    "eps beside few of a softmax": share(lambda e: e / (total(e) + 1e-2), lambda x: x.softmax(-1) * SEEN),
    "another sum": lambda x: x.exp() / total((2 * x).exp()),
    "another axis": lambda x: of(torch.exp(x - x.amax(-2, keepdim=True))),
    "off by one": share(lambda e: e / (1 + total(e)), torch.exp),
    "doubled after the sum": doubled_after_the_sum,
    "negative": lambda x: of(x.exp() * (SEEN - 0.5)),
}


def _way(weigh: Weigh) -> Attend:
    return lambda m, q, k, v: weigh(m.scores(q, k)) @ v


@pytest.mark.parametrize("name", PLAIN)
def test_a_softmax_that_is_written_out(name: str) -> None:
    graph = captured(_way(PLAIN[name]))
    assert sum(isinstance(node.op, Softmax) for node in graph) == 1
    (scores,) = (node.op for node in graph if isinstance(node.op, Scores))
    assert scores.bias is None


@pytest.mark.parametrize("name", MASKED)
def test_exponentials_under_a_mask(name: str) -> None:
    graph = captured(_way(MASKED[name]))
    (scores,) = (node.op for node in graph if isinstance(node.op, Scores))
    assert scores.bias is not None
    np.testing.assert_array_equal(
        np.isneginf(scores.bias), np.broadcast_to(SEEN.numpy() == 0, scores.bias.shape)
    )


def test_weights_of_exponentials_are_a_bias() -> None:
    graph = captured(_way(lambda x: of(x.exp() * DECAY)))
    (scores,) = (node.op for node in graph if isinstance(node.op, Scores))
    assert scores.bias is not None
    assert np.isfinite(scores.bias).all()


def test_a_query_that_sees_no_key_gets_zeros() -> None:
    seen = SEEN * (torch.arange(TOKENS)[:, None] != 3)
    captured(_way(share(lambda e: e / (total(e) + 1e-9), lambda x: x.softmax(-1) * seen)))


def test_a_copy_from_before_is_no_softmax() -> None:
    graph = captured(_way(kept_before))
    assert not any(isinstance(node.op, Softmax) for node in graph)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_almost_a_softmax_is_none(name: str) -> None:
    with pytest.raises(UnsupportedModel):
        captured(_way(OTHERS[name]))
