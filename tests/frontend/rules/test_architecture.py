# SPDX-License-Identifier: Apache-2.0
"""Refused models are told by the name of what they are made of; what only follows is not listed."""

from __future__ import annotations

import functools

import pytest
import torch
from frontend.refused import HEADS, TOKENS, WIDTH, Tiny, refusal
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention, silu

HEAD = WIDTH // HEADS


class Rotary(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        angle = torch.arange(float(TOKENS))[:, None] * torch.arange(1.0, 1 + HEAD)

        def turn(y: Tensor) -> Tensor:
            return y * angle.cos() + torch.cat([-y[..., HEAD // 2 :], y[..., : HEAD // 2]], -1) * angle.sin()

        return self.merge(scaled_dot_product_attention(turn(q), turn(k), v))


class Windows(Tiny):
    """All windows see the keys of the first one."""

    def attend(self, x: Tensor) -> Tensor:
        x = x.reshape(1, 2, 3, WIDTH).roll((0, 1), (1, 2)).transpose(1, 2).reshape(3, 2, WIDTH)
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        x = self.proj(((q @ k[:1].transpose(2, 3)).softmax(-1) @ v[:1]).transpose(1, 2).flatten(2))
        return x.reshape(1, 3, 2, WIDTH).transpose(1, 2).roll((0, -1), (1, 2)).reshape(1, TOKENS, WIDTH)


class HeadNorm(Tiny):
    """A norm with an eps that has a meaning of its own."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.merge(scaled_dot_product_attention(normalize(q, dim=-1, eps=0.1), k, v))


class Swi(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        a, b = self.qkv(x)[..., : 2 * WIDTH].chunk(2, -1)
        return self.proj(silu(a) * b)


class Drawing(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        return super().mlp(x + torch.rand(WIDTH))


class Writing(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        y = super().mlp(x)
        same = y.reshape(1, TOKENS, WIDTH)  # or a copy
        same[:, 1:3] = x[:, :2]
        return y


MODELS = {
    "random numbers": Drawing,
    "write into a part": Writing,
    "rotary positions": Rotary,
    "window attention": Windows,
    "QK-norm": HeadNorm,
    "gated MLP": Swi,
}


@functools.cache
def problems(make: type[Tiny]) -> tuple[tuple[str, str, str], ...]:
    found = refusal(make().eval())
    assert all(problem.why and problem.fix and "test_architecture.py:" in problem.where for problem in found)
    return tuple((problem.name, problem.what, problem.where) for problem in found)


@pytest.mark.parametrize("name", MODELS)
def test_the_name_is_the_architecture_and_nothing_else_is_listed(name: str) -> None:
    assert {found for found, _, _ in problems(MODELS[name])} == {name}


class Behind(Tiny):
    """An operator without a rule in front of a product, a mask and another output."""

    def mlp(self, x: Tensor) -> Tensor:
        a, b = self.qkv(x)[..., : 2 * WIDTH].chunk(2, -1)
        return self.proj(torch.cumprod(a, -1) * b)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(torch.cumprod(x, -1))
        mask = torch.arange(TOKENS) < 3
        return self.merge(scaled_dot_product_attention(q, k, v, attn_mask=mask[None].expand(TOKENS, -1)))


def test_what_stands_behind_a_refused_call_is_judged_too() -> None:
    names = [(name, what) for name, what, _ in problems(Behind)]
    assert ("gated MLP", "the product of two activations, element by element, is not supported") in names
    assert [what for _, what in names].count("aten.cumprod.default is not supported") == 2
    assert len(names) == 3


class Followed(Tiny):
    """Everything behind the operator would be right without it."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(torch.cumprod(image, -1))


def test_what_only_follows_is_not_listed() -> None:
    assert [what for _, what, _ in problems_of(Followed)] == ["aten.cumprod.default is not supported"]


def problems_of(make: type[nn.Module]) -> list[tuple[str, str, str]]:
    return [(problem.name, problem.what, problem.where) for problem in refusal(make().eval())]


class Twice(Tiny):
    """One layer called from two lines."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q = normalize(q, dim=-1, eps=0.1)
        k = normalize(k, dim=-1, eps=0.1)
        return self.merge(scaled_dot_product_attention(q, k, v))


def test_one_thing_at_two_lines_is_one_problem() -> None:
    (found,) = problems(Twice)
    lines = found[2].rpartition(":")[2].split(", ")
    assert len(lines) == 2
    assert int(lines[1]) == int(lines[0]) + 1
