# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts as people write them: a list of modules, and the sum over it in several ways."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.variants import WIDTH, Tiny

EXPERTS, K = 4, 2


class Expert(nn.Sequential):
    def __init__(self, hidden: int = 10, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__(nn.Linear(WIDTH, hidden), activation(), nn.Dropout(0.1), nn.Linear(hidden, WIDTH))


class Mixed(Tiny):
    """Dense gates: the softmax of all, scattered into zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.router(x).softmax(-1).topk(K, dim=-1)

    def gates(self, x: Tensor) -> Tensor:
        gates, index = self.choose(x)
        return torch.zeros(*x.shape[:-1], EXPERTS, dtype=x.dtype).scatter(-1, index, gates)

    def mix(self, x: Tensor) -> Tensor:
        gates = self.gates(x)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + gates[..., number : number + 1] * expert(x)
        return total

    def mlp(self, x: Tensor) -> Tensor:
        return self.mix(x)


class Builtin(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        gates = self.gates(x)
        return sum(expert(x) * gates[..., i, None] for i, expert in enumerate(self.experts))  # type: ignore[return-value]


class Stacked(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        results = torch.stack([expert(x) for expert in self.experts], dim=2)
        return (results * self.gates(x)[..., None]).sum(2)


class StackedEinsum(Mixed):
    def mix(self, x: Tensor) -> Tensor:
        results = torch.stack([expert(x) for expert in self.experts], dim=1)
        return torch.einsum("bte,betd->btd", self.gates(x), results)


class InPlaceSum(Mixed):
    """The sum is written in place, and read under its old name."""

    def mix(self, x: Tensor) -> Tensor:
        total, gates = torch.zeros_like(x), self.gates(x)
        for number, expert in enumerate(self.experts):
            total += gates[..., number].unsqueeze(-1) * expert(x)
        return total


class Compared(Mixed):
    """The loop over experts with a comparison, renormalised gates, experts of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Expert(6 + i) for i in range(EXPERTS))

    def mix(self, x: Tensor) -> Tensor:
        gates, index = self.choose(x)
        gates = gates / gates.sum(-1, keepdim=True)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            weight = (gates * (index == number)).sum(-1, keepdim=True)
            total = total + weight * expert(x)
        return total


class OneHot(Mixed):
    """Softmax over the chosen logits; the gates by one_hot."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, index = torch.topk(self.router(x), K, dim=-1)
        return functional.softmax(logits, dim=-1), index

    def gates(self, x: Tensor) -> Tensor:
        gates, index = self.choose(x)
        return (functional.one_hot(index, EXPERTS).to(x.dtype) * gates[..., None]).sum(-2)


class Masked(Mixed):
    """The softmax of all, times a mask of the chosen, over its sum."""

    def gates(self, x: Tensor) -> Tensor:
        probabilities = self.router(x).softmax(-1)
        index = probabilities.topk(K).indices
        mask = torch.zeros_like(probabilities).scatter_(-1, index, 1.0)
        gates = probabilities * mask
        return gates / (gates.sum(-1, keepdim=True) + 1e-20)


class Sigmoid(Mixed):
    """Sigmoid gates, gathered, times a factor; a shared expert beside."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = Expert(7, nn.ReLU)

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x).sigmoid()
        index = scores.topk(K, dim=-1, sorted=False)[1]
        return scores.gather(-1, index) * 2.5, index

    def mlp(self, x: Tensor) -> Tensor:
        return self.shared(x) + self.mix(x)


class Switch(Mixed):
    """The best expert by max."""

    def mix(self, x: Tensor) -> Tensor:
        gate, index = self.router(x).softmax(-1).max(dim=-1)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + ((index == number) * gate)[..., None] * expert(x)
        return total


class Scattered(Mixed):
    """The loop with where and index_add, on tokens without a batch axis."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, slot = torch.where(index == number)
            total.index_add_(0, token, expert(rows[token]) * gates[token, slot, None])
        return total.reshape(x.shape)


class Searched(Mixed):
    """As Mixtral: gates divided in place, a mask [E, k, T], choices before tokens."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.view(-1, WIDTH)
        gates, index = torch.topk(self.router(rows).softmax(1), K, dim=-1)
        gates /= gates.sum(dim=-1, keepdim=True)
        mask = functional.one_hot(index, EXPERTS).permute(2, 1, 0)
        total = torch.zeros(rows.shape, dtype=rows.dtype)
        for number, expert in enumerate(self.experts):
            slot, token = torch.where(mask[number])
            part = expert(rows[None, token].reshape(-1, WIDTH)) * gates[token, slot, None]
            total.index_add_(0, token, part.to(rows.dtype))
        return total.reshape(x.shape)


class AddedAt(Mixed):
    """As Mistral's own code: `total[token] += ...`."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.view(-1, WIDTH)
        gates, index = torch.topk(self.router(rows), K)
        gates = functional.softmax(gates, dim=1)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            token, slot = torch.where(index == number)
            total[token] += gates[token, slot, None] * expert(rows[token])
        return total.view_as(x)


class Chosen(Mixed):
    """Choice by choice, by a mask of tokens."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, index = self.choose(rows)
        total = torch.zeros_like(rows)
        for slot in range(K):
            for number, expert in enumerate(self.experts):
                mine = index[:, slot] == number
                total[mine] += gates[mine, slot][:, None] * expert(rows[mine])
        return total.reshape(x.shape)


class Hidden(Mixed):
    """As Shazeer: the softmax of logits that are minus infinity where an expert was not chosen."""

    def gates(self, x: Tensor) -> Tensor:
        logits = self.router(x)
        best, index = logits.topk(K, -1)
        return torch.full_like(logits, float("-inf")).scatter(-1, index, best).softmax(-1)


class SigmoidOverSum(Sigmoid):
    """As DeepSeek-V3 without its bias: sigmoids of the chosen, over their sum, times a factor."""

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x).sigmoid()
        index = torch.topk(scores, K, dim=-1, sorted=False)[1]
        gates = scores.gather(-1, index)
        return gates / (gates.sum(-1, keepdim=True) + 1e-20) * 2.5, index


class OneGroup(SigmoidOverSum):
    """DeepSeek-V3's gate with one group of experts and no correction, as in smaller models."""

    groups, chosen_groups = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("correction", torch.zeros(EXPERTS))

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x.reshape(-1, WIDTH)).sigmoid()
        choice = scores + self.correction
        grouped = choice.view(-1, self.groups, EXPERTS // self.groups)
        best = torch.topk(grouped.topk(2, dim=-1)[0].sum(-1), self.chosen_groups, dim=-1, sorted=False)[1]
        mask = torch.zeros(len(choice), self.groups).scatter_(1, best, 1).unsqueeze(-1).expand(grouped.shape)
        choice = choice.masked_fill(~mask.reshape(choice.shape).bool(), float("-inf"))
        index = torch.topk(choice, K, dim=-1, sorted=False)[1]
        gates = scores.gather(1, index)
        gates = gates / (gates.sum(-1, keepdim=True) + 1e-20) * 2.5
        return gates.reshape(*x.shape[:-1], K), index.reshape(*x.shape[:-1], K)


class AllGroups(OneGroup):
    """All groups are chosen, and every expert has the same correction."""

    groups = chosen_groups = 2

    def __init__(self) -> None:
        super().__init__()
        self.correction = torch.full((EXPERTS,), 0.7)


class OneGroupShifted(OneGroup):
    """One group, and every expert has the same correction."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = torch.full((EXPERTS,), 0.7)


class SwitchLate(Mixed):
    """The best expert by argmax and one_hot; the sum of all is weighed at the end."""

    def mix(self, x: Tensor) -> Tensor:
        chances = self.router(x).softmax(-1)
        one = functional.one_hot(chances.argmax(-1), EXPERTS)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + one[..., number : number + 1].to(x.dtype) * expert(x)
        return chances.max(-1).values.unsqueeze(-1) * total


class SwitchWhere(Mixed):
    """The best expert by where, which keeps what other tokens have."""

    def mix(self, x: Tensor) -> Tensor:
        gate, index = self.router(x).softmax(-1).max(-1, keepdim=True)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = torch.where(index == number, expert(x), total)
        return total * gate


class SwitchPut(Mixed):
    """The best expert by a mask of tokens, its results put where nothing is yet."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        gate, index = self.router(rows).softmax(-1).max(-1)
        total = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            mine = index == number
            total[mine] = expert(rows[mine]) * gate[mine].unsqueeze(-1)
        return total.reshape(x.shape)


class Batched(Mixed):
    """All experts as one product for each layer, of tokens that are repeated; biases are added."""

    def __init__(self) -> None:
        super().__init__()
        del self.experts
        self.fc1, self.fc2 = (
            nn.Parameter(torch.zeros(EXPERTS, *size)) for size in ((WIDTH, 10), (10, WIDTH))
        )
        self.bias1, self.bias2 = (nn.Parameter(torch.zeros(EXPERTS, 1, size)) for size in (10, WIDTH))

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        hidden = functional.gelu(torch.bmm(rows.expand(EXPERTS, -1, -1), self.fc1) + self.bias1)
        results = torch.bmm(hidden, self.fc2) + self.bias2
        return (results * self.gates(rows).T[..., None]).sum(0).view_as(x)


class BatchedSums(Batched):
    """The same with baddbmm, and einsum for the gates."""

    def mix(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, WIDTH)
        every = rows.repeat(EXPERTS, 1).view(EXPERTS, -1, WIDTH)
        hidden = functional.relu(torch.baddbmm(self.bias1, every, self.fc1))
        results = torch.baddbmm(self.bias2, hidden, self.fc2)
        return torch.einsum("etd,te->td", results, self.gates(rows)).view_as(x)


MIXTURES: dict[str, Callable[[], Tiny]] = {
    one.__name__: one
    for one in (
        Mixed, Builtin, Stacked, StackedEinsum, InPlaceSum, Compared, OneHot, Masked, Sigmoid, Switch,
        Scattered, Searched, AddedAt, Chosen, Hidden, SigmoidOverSum, SwitchLate, SwitchWhere, SwitchPut,
        OneGroup, OneGroupShifted, AllGroups, Batched, BatchedSums,
    )
}  # fmt: skip
