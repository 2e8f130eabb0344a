# SPDX-License-Identifier: Apache-2.0
"""RMS norms in the export: `nn.RMSNorm`, its decompositions, every way in which models write it out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hlsgen
from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import LayerNorm, RMSNorm
from hlsgen.quantization.legalise import legalise

WIDTH, EPS = 8, 1e-2


class Llama(nn.Module):
    """As `transformers` has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)
        self.variance_epsilon = EPS

    def forward(self, hidden_states: Tensor) -> Tensor:
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)


class Gemma(nn.Module):
    """Weights around 0, and two casts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        normal = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + EPS)
        return (normal * (1.0 + self.weight.float())).type_as(x)


class Fused(nn.Module):
    """What a backend gets of `nn.RMSNorm`: the norm, and a root for training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten._fused_rms_norm(x, [WIDTH], self.weight, EPS)[0]


class Written(nn.Module):
    """A function in a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class BufferEps(nn.Module):
    """eps is a buffer, and stands first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("eps", torch.tensor(EPS))

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.eps, Tensor)
        return torch.rsqrt(self.eps + (x * x).mean(dim=-1, keepdim=True)) * x


FORMS: dict[str, Callable[[], nn.Module]] = {
    "module": lambda: nn.RMSNorm(WIDTH, eps=EPS),
    "module_plain": lambda: nn.RMSNorm(WIDTH, eps=EPS, elementwise_affine=False),
    "fused": Fused,
    "llama": Llama,
    "gemma": Gemma,
    "buffer": BufferEps,
    "divided": lambda: Written(lambda x: x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS)),
    "power": lambda: Written(lambda x: x * (x**2).mean(-1, keepdim=True).add(EPS) ** -0.5),
    "root_power": lambda: Written(lambda x: x / (EPS + (x**2).mean(2, keepdim=True)) ** 0.5),
    "reciprocal": lambda: Written(
        lambda x: x * (1.0 / torch.sqrt(torch.square(x).mean(-1, keepdim=True) + EPS))
    ),
    "sum": lambda: Written(lambda x: x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) / x.shape[-1] + EPS)),
    "shifted": lambda: Written(
        lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * torch.arange(8.0) + torch.ones(8)
    ),
}


class Model(nn.Module):
    """A patch embedding, one MLP behind the norm, a head behind a LayerNorm."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, WIDTH, 2, stride=2)
        self.norm = norm
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 12), nn.GELU(), nn.Linear(12, WIDTH))
        self.last = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image).flatten(2).transpose(1, 2)
        x = x + self.mlp(self.norm(x))
        return self.head(self.last(x[:, 0]))


def _model(norm: nn.Module) -> Model:
    torch.manual_seed(2)
    model = Model(norm).eval()
    if isinstance(norm, nn.RMSNorm) and norm.weight is not None:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return model


def _check(model: nn.Module, graph: Graph) -> None:
    images = torch.randn(3, 1, 6, 6)
    with torch.no_grad():
        wanted = model(images).numpy()
    np.testing.assert_allclose(evaluate(graph, images.numpy())[graph.output][:, 0], wanted, atol=1e-5)


def _norms(graph: Graph) -> list[RMSNorm]:
    return [node.op for node in graph if isinstance(node.op, RMSNorm)]


@pytest.mark.parametrize("form", FORMS)
def test_the_graph_is_the_model(form: str) -> None:
    model = _model(FORMS[form]())
    graph = hlsgen.capture(model, torch.randn(1, 1, 6, 6))
    (norm,) = _norms(graph)
    assert norm.eps == pytest.approx(EPS)
    assert sum(isinstance(node.op, LayerNorm) for node in graph) == 1
    _check(model, graph)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_torch_decomposes_it_to() -> None:
    model = _model(nn.RMSNorm(WIDTH, eps=EPS))
    exported = torch.export.export(model, (torch.randn(1, 1, 6, 6),))
    exported = exported.run_decompositions({torch.ops.aten.rms_norm.default: _decomposed})
    targets = {str(node.target) for node in exported.graph.nodes}
    assert "aten.rsqrt.default" in targets
    assert "aten.rms_norm.default" not in targets
    graph = hlsgen.capture(exported)
    assert len(_norms(graph)) == 1
    _check(model, graph)


def _decomposed(
    x: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    del shape
    assert weight is not None
    assert eps is not None
    return x * torch.rsqrt(x.pow(2).mean([-1], True) + eps) * weight


def test_without_eps_it_is_that_of_float32() -> None:
    (norm,) = _norms(hlsgen.capture(_model(nn.RMSNorm(WIDTH)), torch.randn(1, 1, 6, 6)))
    assert norm.eps == torch.finfo(torch.float32).eps


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) * 2 + EPS),
        lambda x: x * torch.rsqrt((x * (x + 1)).mean(-1, keepdim=True) + EPS),
        lambda x: (x + 1) * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS),
        lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) / 7 + EPS),
        lambda x: x * torch.rsqrt((x**3).mean(-1, keepdim=True) + EPS),
        lambda x: x * torch.sqrt((x * x).mean(-1, keepdim=True) + EPS),
        lambda x: x / torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS),
        lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True)),
    ],
    ids=["twice", "other", "more", "count", "cube", "product", "quotient", "no-eps"],
)
def test_what_only_looks_like_one_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UnsupportedModel):
        hlsgen.capture(_model(Written(function)), torch.randn(1, 1, 6, 6))


def test_over_several_axes_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="RMS norm must be over the channels, not over 2 axes"):
        hlsgen.capture(_model(nn.RMSNorm([9, WIDTH])), torch.randn(1, 1, 6, 6))


def test_a_norm_of_a_norm_reads_a_copy_of_16_bits() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x))

    graph = legalise(hlsgen.capture(_model(Twice()), torch.randn(1, 1, 6, 6)))
    copies = [node for node in graph if node.name.endswith("_affine")]
    assert [type(graph.node(node.inputs[0]).op).__name__ for node in copies] == ["RMSNorm"]
    assert {type(user.op).__name__ for user in graph.users(copies[0].name)} == {"RMSNorm"}
