# SPDX-License-Identifier: Apache-2.0
"""Any tensor of a model becomes an output, with one more layer where nothing can drain it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hlsgen.errors import CaptureWarning, UnsupportedModel, UsageError
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inspect import inspect
from hlsgen.ir import Graph, results
from hlsgen.ops import Linear
from tests.support.experts import Model, Shape
from tests.support.outputs import WIDTH, Encoder, pictures, wanted


def read(gives: Any) -> tuple[nn.Module, Graph]:
    model = Encoder(gives).eval()
    return model, capture(model, pictures(1))


def equal(gives: Any) -> Graph:
    """The graph of a model that gives one tensor; its output is the module's."""
    model, graph = read(gives)
    images = pictures(3)
    (real,), (found,) = wanted(model, images).values(), results(graph, images).values()
    np.testing.assert_allclose(found, real, atol=1e-5)
    return graph


def ops(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph]


SINGLE = {
    "embedding": (lambda _, x: x.embedding, ["LayerNorm", "Linear", "Add"]),
    "norm": (lambda _, x: x.normed, ["LayerNorm", "Linear"]),
    "attention": (lambda _, x: x.context, ["Context", "Linear"]),
    "activation": (lambda _, x: x.activation, ["Activation", "Linear"]),
    "last addition": (lambda _, x: x.last, ["Linear", "Add"]),
    "linear": (lambda _, x: x.query, ["LayerNorm", "Linear"]),
    "tokens": (lambda _, x: x.normed[:, 2:5], ["LayerNorm", "Linear"]),
    "token of the stream": (lambda _, x: x.last[:, 3], ["LayerNorm", "Linear", "Add"]),
    "mean": (lambda _, x: x.last.mean(1), ["Mean", "Linear"]),
    "mean of a norm": (lambda _, x: x.normed[:, 1:].mean(1), ["Mean", "Linear"]),
    "scaled and shifted": (lambda _, x: x.query * 2.0 + 1.0, ["LayerNorm", "Linear"]),
    "some channels": (lambda m, x: m.q(x.norm1)[..., 1:4], ["LayerNorm", "Linear"]),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_result_of_any_op_is_an_output(name: str) -> None:
    gives, end = SINGLE[name]
    graph = equal(gives)
    assert ops(graph)[-len(end) :] == end
    assert graph.names == ()


def test_numbers_and_texts_are_left_out() -> None:
    """As transformers returns the height and width of its feature maps."""
    _, graph = read(lambda _, x: {"size": ((2, 3), 0.5, "kind", True, None), "x": x.last, "y": x.normed})
    assert graph.names == ("x", "y")


def test_a_layer_that_is_read_inside_is_computed_once_more() -> None:
    class Query(Encoder):
        def forward(self, image: Tensor) -> Any:
            tokens = self.patch(image).flatten(2).transpose(1, 2)
            x = torch.cat([self.token, tokens], 1) + self.place
            up = self.up(self.norm1(x))
            return {"up": up, "x": x + self.down(torch.relu(up))}

    model = Query(lambda _, x: x).eval()
    graph = capture(model, pictures(1))
    assert graph.results() == {"up": "up", "x": "add"}
    once, more = (graph.node(name).op for name in ("up", "up_2"))
    assert isinstance(once, Linear)
    assert isinstance(more, Linear)
    assert (once.weight is more.weight, graph.users("up")) == (True, ())
    found, real = results(graph, pictures(2)), wanted(model, pictures(2))
    for name in real:
        np.testing.assert_allclose(found[name], real[name], atol=1e-5)


def test_equal_tensors_are_drained_once() -> None:
    _, graph = read(lambda _, x: (x.normed, x.normed, x.last, x.last))
    first, second, third, fourth = graph.outputs
    assert (first, third) == (second, fourth)
    assert first != third


def test_what_stays_inside_the_array_is_refused_with_what_does_not() -> None:
    class Weights(Encoder):
        def forward(self, image: Tensor) -> Any:
            x = self.norm1(self.patch(image).flatten(2).transpose(1, 2))
            weights = (self.q(x) @ self.k(x).transpose(1, 2) * WIDTH**-0.5).softmax(-1)
            return {"context": weights @ self.v(x), "weights": weights.unsqueeze(0), "image": image}

    note = "nothing is refused on the way to some outputs: try --outputs context"
    with pytest.raises(UnsupportedModel) as caught, pytest.warns(CaptureWarning, match=note):
        capture(Weights(lambda _, x: x).eval(), pictures(1))
    whats = [problem.what for problem in caught.value.problems]
    assert "output weights: an output must be a tensor of tokens, not softmax" in whats
    assert any(what.startswith("output image: the image is used outside") for what in whats)
    (weights,) = [problem for problem in caught.value.problems if "weights:" in problem.what]
    assert weights.fix == "leave it out: --outputs context"
    report = inspect(Weights(lambda _, x: x).eval(), pictures(1))
    assert report.notes == (note,)
    assert capture(Weights(lambda _, x: x).eval(), pictures(1), ["context"]).names == ()


class TwoTasks(Model):
    """Experts with a router for each task; every task gives several outputs."""

    def forward(self, images: Tensor, task: Tensor | None = None) -> Any:
        first, second = super().forward(images, task)
        assert self.cls is not None
        x = (
            torch.cat(
                [self.cls.expand(len(images), -1, -1), self.embed(images).flatten(2).transpose(1, 2)], 1
            )
            + self.pos
        )
        x = self.blocks[0](x, task)
        return {"logits": first, "x": x}, {"logits": second, "x": self.norm(x)}


def test_tasks_and_outputs_are_two_things() -> None:
    torch.manual_seed(0)
    model, images = TwoTasks(Shape()).eval(), np.random.default_rng(1).normal(size=(2, 1, 6, 6)).astype("f")
    graph = capture(model, (images[:1], 0), ["logits", "x"])
    assert (graph.tasks, graph.names) == (2, ("logits", "x"))
    for task in range(2):
        with torch.no_grad():
            real = model(torch.from_numpy(images), torch.tensor(task))[task]
        found = results(graph, images, task=task)
        assert list(found) == ["logits", "x"]
        for name, value in found.items():
            np.testing.assert_allclose(value, real[name].numpy(), atol=1e-5)
    only = capture(model, (images[:1], 0))
    assert (only.tasks, only.names) == (2, ())
    assert [only.type_of(name).shape for name in only.outputs] == [(1, 3), (2, 4)]


class Unlike(TwoTasks):
    def forward(self, images: Tensor, task: Tensor | None = None) -> Any:
        first, second = super().forward(images, task)
        return first, {"logits": second["logits"]}


def test_every_task_must_have_the_same_outputs() -> None:
    model, image = Unlike(Shape()).eval(), np.zeros((1, 1, 6, 6), np.float32)
    with pytest.raises(UsageError, match="the model must return the same outputs for each task"):
        capture(model, (image, 0), ["logits", "x"])
    assert capture(model, (image, 0), ["logits"]).tasks == 2


def test_a_model_without_attention_still_copies_its_stream() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(2, WIDTH, 2, stride=2)

        def forward(self, image: Tensor) -> Tensor:
            return self.patch(image).flatten(2).transpose(1, 2)

    model = Bare().eval()
    graph = capture(model, pictures(1))
    np.testing.assert_allclose(results(graph, pictures(2))[""], wanted(model, pictures(2))[""], atol=1e-5)
