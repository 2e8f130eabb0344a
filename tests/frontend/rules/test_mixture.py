# SPDX-License-Identifier: Apache-2.0
"""`hlsgen.nn.MoE` in the export: one node, every convention, registered modules, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hlsgen
from hlsgen.errors import UnsupportedModel, UsageError
from hlsgen.ir import evaluate
from hlsgen.nn import CONVERSIONS, MoE, register
from hlsgen.ops.route import CONVENTIONS
from tests.support.experts import Model, Shape


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("tasks", [1, 2])
def test_the_graph_is_the_model(convention: str, tasks: int) -> None:
    torch.manual_seed(1)
    model = Model(Shape(convention=convention, tasks=tasks)).eval()
    images = torch.randn(3, 1, 6, 6)
    graph = hlsgen.capture(model, (images[:1], 0) if tasks > 1 else images[:1])
    assert graph.tasks == tasks
    assert sum(type(node.op).__name__ == "ExpertLinear" for node in graph) == 2
    for task in range(tasks):
        with torch.no_grad():
            wanted = model(images, torch.tensor(task)) if tasks > 1 else (model(images),)
        found = evaluate(graph, images.numpy(), task)[graph.outputs[task]]
        np.testing.assert_allclose(found, wanted[task].numpy(), atol=1e-5)


def test_it_trains() -> None:
    moe, x = MoE(8, 6, 4, 2, tasks=2), torch.randn(2, 5, 8)
    moe(x, 1).square().sum().backward()
    assert moe.router_weight.grad is not None
    assert float(moe.router_weight.grad[1].abs().sum()) > 0
    assert float(moe.router_weight.grad[0].abs().sum()) == 0
    assert set(moe.state_dict()) == {
        "router_weight", "fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 5}, r"k must be in 1\.\.4"),
        ({"convention": "hard"}, "convention must be one of"),
        ({"activation": "swiglu", "tasks": 0}, "tasks must be positive, not 0; activation must be one of"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MoE(8, 6, 4, **arguments)  # type: ignore[arg-type]


class Mine(nn.Module):
    """A user's own mixture, looping over experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(12, 3)
        self.up = nn.ModuleList(nn.Linear(12, 8) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(8, 12) for _ in range(3))

    def forward(self, x: Tensor, _: Tensor | None = None) -> Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        result = torch.zeros_like(x)
        for index, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            rows = torch.nonzero(chosen == index)
            picked = x[rows[:, 0], rows[:, 1]]
            gate = weights[rows[:, 0], rows[:, 1], rows[:, 2]]
            value = down(torch.nn.functional.gelu(up(picked))) * gate[:, None]
            result = result.index_put((rows[:, 0], rows[:, 1]), value, accumulate=True)
        return result


def _with_mine() -> Model:
    torch.manual_seed(2)
    model = Model(Shape(tasks=1))
    model.blocks[0].moe = Mine()
    return model.eval()


def test_a_loop_over_experts_is_refused_with_three_ways_out() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        hlsgen.capture(_with_mine(), np.zeros((1, 1, 6, 6), np.float32))
    text = "\n".join(f"{p.what} {p.where} {p.fix}" for p in caught.value.problems)
    for way in ("hlsgen.nn.MoE", "hlsgen.nn.register", "every expert on every token"):
        assert way in text
    assert "test_mixture.py" in text


def test_a_registered_module_is_read_as_its_conversion() -> None:
    def parts(layer: nn.Module) -> tuple[Tensor, Tensor]:
        assert isinstance(layer, nn.Linear)
        return layer.weight, layer.bias

    @register(Mine)
    def convert(mine: Mine) -> MoE:
        moe = MoE(12, 8, 3, 2, router_bias=True)
        with torch.no_grad():
            moe.router_weight[0] = mine.gate.weight
            assert moe.router_bias is not None
            moe.router_bias[0] = mine.gate.bias
            for name, layers in (("fc1", mine.up), ("fc2", mine.down)):
                getattr(moe, f"{name}_weight").copy_(torch.stack([parts(layer)[0] for layer in layers]))
                getattr(moe, f"{name}_bias").copy_(torch.stack([parts(layer)[1] for layer in layers]))
        return moe

    try:
        model, images = _with_mine(), torch.randn(2, 1, 6, 6)
        graph = hlsgen.capture(model, images[:1])
        with torch.no_grad():
            wanted = model(images).numpy()
        np.testing.assert_allclose(evaluate(graph, images.numpy())[graph.output], wanted, atol=1e-5)
        assert isinstance(model.blocks[0].moe, Mine)
    finally:
        del CONVERSIONS[Mine]
