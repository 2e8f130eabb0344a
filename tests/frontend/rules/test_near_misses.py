# SPDX-License-Identifier: Apache-2.0
"""What looks like a spelling that is read, and means something else: refused, or computed as it stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.mixtures import EXPERTS, K, Mixed, OneGroup
from support.spellings import Activated
from support.variants import HEADS, WIDTH, Tiny, seeded
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import UnsupportedModel
from hlsgen.frontend.capture import capture

IMAGE = torch.zeros(1, 2, 4, 6)
ORDER = "the elements do not lie in token order here"


class Padded(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return functional.pad(super().embed(image), (0, 0, 1, -1), mode="replicate")


class BatchNormInTraining(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        x = functional.batch_norm(self.patch(image), torch.zeros(WIDTH), torch.ones(WIDTH), training=True)
        return x.flatten(2).mT


class GatedUnit(Tiny):
    def mlp(self, x: Tensor) -> Tensor:
        a, b = self.up(x).repeat(1, 1, 2).chunk(2, -1)
        return self.down(functional.silu(a) * b.roll(1, -1))


class OtherToken(Tiny):
    """A function of a token times one of another token."""

    def mlp(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return self.down(torch.sigmoid(y) * y.flip(1))


class NormAfterJoin(Tiny):
    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image)
        return self.head(self.norm(torch.cat((x[..., :6], self.proj(self.norm1(x))[..., 6:]), -1))[:, 0])


class PerPair(Tiny):
    """A temperature for each query and key."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        logits = q @ k.mT * torch.linspace(0.5, 1, x.shape[1] ** 2).view(x.shape[1], -1)
        return self.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Reshaped(Tiny):
    """A reshape where token mixing has a transpose."""

    def attend(self, x: Tensor) -> Tensor:
        rows = x.reshape(1, WIDTH, x.shape[1])
        return (rows @ torch.rand(x.shape[1], x.shape[1])).transpose(1, 2)


class OverSum(Tiny):
    """Weights by relu, divided by their sum."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = torch.relu(q @ k.mT)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class CoarseNorm(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q = functional.normalize(q, dim=-1, eps=1e-2)
        return self.proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Deviation(Tiny):
    """Layer norm by the standard deviation plus eps, of all but one: no eps is the same for all tokens."""

    def norm1(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)

    def __init__(self) -> None:
        super().__init__()
        del self.norm1


class HalfAPatch(Tiny):
    """Tokens that begin in the middle of a patch's channels."""

    def embed(self, image: Tensor) -> Tensor:
        return self.patch(image).flatten(2).mT.reshape(1, -1).roll(3, 1).reshape(1, -1, WIDTH)


class HalfAToken(Tiny):
    """A token that is a patch in its first channels and a constant in the others, beside whole patches."""

    def embed(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).mT
        return torch.cat((torch.cat((x[:, :1, :6], self.cls[..., 6:]), -1), x), 1)


class MixedByKey(Tiny):
    """What mixes the heads' weights differs from key to key."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = (q @ k.mT).softmax(-1) * torch.linspace(0.5, 1, x.shape[1])
        weights = torch.einsum("bhnm,gh->bgnm", weights, torch.rand(HEADS, HEADS))
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class MovedWeights(Tiny):
    """Weights of the next key."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(((q @ k.mT).softmax(-1).roll(1, 3) @ v).transpose(1, 2).flatten(2))


class SoftmaxOfChannels(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        return self.proj(self.proj(x).softmax(-1))


class Noisy(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return super().embed(image) + torch.randn(1, 7, WIDTH)


class Dropped(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return super().embed(image) + functional.dropout(self.pos, 0.5, training=True)


class Huge(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return super().embed(image) + torch.zeros(1 << 14, 1 << 13).sum()


class OfTheImage(Tiny):
    def embed(self, image: Tensor) -> Tensor:
        return super().embed(image) * (1 + image.mean().item())


class Decides(Tiny):
    """A number of the image comes back by way of a constant."""

    def embed(self, image: Tensor) -> Tensor:
        number = torch.tensor(2.0) * image.sum().item()
        return super().embed(image) * (2 if number.item() > 0 else 3)


class NotRenormalised(Mixed):
    """Divided by the sum of all gates of another choice."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        chances = self.router(x).softmax(-1)
        gates, index = chances.topk(K)
        return gates / chances.topk(K + 1)[0].sum(-1, keepdim=True), index


class TwoOrders(Mixed):
    """Tokens sorted by token, gates by choice: they do not go together."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, _ = torch.where(index == number)
            by_slot, by_token = torch.where((index == number).T)
            torch._check(by_token.shape[0] == token.shape[0])
            total = total.index_add(0, token, expert(rows[token]) * gates[by_token, by_slot, None])
        return total.reshape(x.shape)


class PutOver(Mixed):
    """The results of a token's second expert take the place of those of its first."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, slot = torch.where(index == number)
            total[token] = expert(rows[token]) * gates[token, slot, None]
        return total.reshape(x.shape)


class OneChoice(Mixed):
    """Only the first of a token's two choices is added."""

    def mix(self, x: Tensor) -> Tensor:
        gates, index = self.choose(x)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + ((index[..., 0] == number) * gates[..., 0])[..., None] * expert(x)
        return total


class Corrected(Mixed):
    """Chosen by corrected scores, weighted by the scores themselves."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x).sigmoid()
        index = (scores + torch.linspace(0, 1, EXPERTS)).topk(K)[1]
        return scores.gather(-1, index), index


class TwoGroups(OneGroup):
    """As DeepSeek-V3: groups are chosen first, by corrected scores."""

    groups, chosen_groups = 2, 1

    def __init__(self) -> None:
        super().__init__()
        self.correction = torch.linspace(0, 1, EXPERTS)


class Gathered(Mixed):
    """The weights of each token's experts are gathered, as in `batched_mm` of transformers."""

    def mix(self, x: Tensor) -> Tensor:
        gates, index = self.choose(x.reshape(-1, WIDTH))
        rows = x.reshape(-1, WIDTH).repeat_interleave(K, 0)
        weights = torch.rand(EXPERTS, WIDTH, WIDTH)[index.reshape(-1)]
        results = torch.bmm(weights, rows.unsqueeze(-1)).squeeze(-1) * gates.reshape(-1, 1)
        return results.view(-1, K, WIDTH).sum(1).view_as(x)


class FirstOfTwo(Mixed):
    """Only the first of the chosen is scattered."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gates, index = super().choose(x)
        return gates[..., :1], index[..., :1]


class SoftmaxOfOne(Mixed):
    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, index = self.router(x).topk(K)
        return torch.cat((logits[..., :1].softmax(-1), logits[..., 1:].softmax(-1)), -1), index


class OtherAxis(Mixed):
    """Gates of other tokens are gathered."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x).sigmoid()
        index = scores.topk(K)[1]
        return scores.gather(1, index), index


class OtherExpert(Mixed):
    """The gate of the next token."""

    def mix(self, x: Tensor) -> Tensor:
        gates = self.gates(x).roll(1, 1)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + gates[..., number : number + 1] * expert(x)
        return total


class Twice(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        gates = self.gates(x)
        return gates[..., :1] * self.experts[0](x) + gates[..., :1] * self.experts[1](x)


class WrongTokens(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, slot = torch.where(index == number)
            other, _ = torch.where(index == (number + 1) % EXPERTS)
            total = total.index_add(0, other, (expert(rows[token]) * gates[token, slot, None])[: len(other)])
        return total.reshape(x.shape)


class Ungated(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        _, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, _ = torch.where(index == number)
            total = total.index_add(0, token, expert(rows[token]))
        return total.reshape(x.shape)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "padded": (Padded, "the tensor is padded by"),
    "batch_norm": (BatchNormInTraining, "batch norm must be in eval mode"),
    "gated_unit": (GatedUnit, "the product of two activations"),
    "other_token": (OtherToken, "the product of two activations"),
    "norm_after_join": (NormAfterJoin, "results of different layers are joined"),
    "per_pair": (PerPair, "attention scores have a factor that is not one of the query's or the key's"),
    "reshaped": (Reshaped, ORDER),
    "over_sum": (OverSum, "division by an activation is not supported"),
    "coarse_norm": (CoarseNorm, "normalize must have eps of at most 1e-06"),
    "deviation": (Deviation, "aten.std.correction is not supported"),
    "half_a_patch": (HalfAPatch, "tokens of the patch embedding must be patches or constants"),
    "half_a_token": (HalfAToken, "tokens of the patch embedding must be patches or constants"),
    "mixed_by_key": (MixedByKey, "a factor or constant on attention weights differs"),
    "moved_weights": (MovedWeights, "attention weights are cut or reordered"),
    "softmax_of_channels": (SoftmaxOfChannels, "softmax is only supported on attention scores"),
    "noisy": (Noisy, "aten.randn.default is not supported"),
    "dropped": (Dropped, "dropout must be in eval mode"),
    "huge": (Huge, "aten.zeros.default must make tensors of at most"),
    "of_the_image": (OfTheImage, "aten.item.default is not supported"),
    "not_renormalised": (NotRenormalised, "division by an activation is not supported"),
    "corrected": (Corrected, "the experts are chosen by biased scores"),
    "two_orders": (TwoOrders, "the tokens of an expert are searched in two orders"),
    "put_over": (PutOver, "an expert's results are put where others may be"),
    "one_choice_of_two": (OneChoice, "expert 0 differs from one of a token's choices"),
    "two_groups": (TwoGroups, "the experts are chosen by groups of experts"),
    "gathered": (Gathered, "weights of experts are gathered for each token"),
    "first_of_two": (FirstOfTwo, "what is scattered are not the gates of chosen experts"),
    "softmax_of_one": (SoftmaxOfOne, "the softmax must be over all chosen logits"),
    "other_axis": (OtherAxis, "the best experts must be the largest along the last axis"),
    "other_expert": (OtherExpert, "results are multiplied by gates of other tokens or experts"),
    "twice": (Twice, "expert 0 is added twice"),
    "ungated": (Ungated, "experts are multiplied by what are no gates"),
    "several_slopes": (
        lambda: Activated(nn.PReLU(7)),
        "PReLU must have one slope for all channels",
    ),
    "noise": (lambda: Activated(lambda x: functional.rrelu(x, training=True)), "aten.rrelu"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_only_alike_is_refused(name: str) -> None:
    make, what = REFUSED[name]
    with pytest.raises(UnsupportedModel) as caught:
        capture(seeded(make()), IMAGE)
    assert any(problem.what.startswith(what) for problem in caught.value.problems), str(caught.value)


def test_deepseek_v3_is_refused_by_its_groups_and_its_correction() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        capture(seeded(TwoGroups()), IMAGE)
    found = [(problem.name, problem.what) for problem in caught.value.problems]
    assert found == [
        ("groups of experts", "the experts are chosen by groups of experts"),
        ("biased choice of experts", "the experts are chosen by biased scores"),
    ]


@pytest.mark.parametrize("make", [Decides, WrongTokens])
def test_what_the_image_decides_is_never_folded(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(UnsupportedModel):
        capture(seeded(make()), IMAGE)


class Skipping(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        _, index = self.choose(x)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            if (index == number).sum() == 0:
                continue
            total = total + expert(x)
        return total


def test_a_loop_that_skips_experts_is_told_how_to_register() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        capture(seeded(Skipping()), IMAGE)
    (problem,) = caught.value.problems
    assert problem.what == "control flow must not depend on the input's values"
    assert all(word in problem.fix for word in ("hlsgen.nn.MoE", "@hlsgen.nn.register", "fc2_bias"))
