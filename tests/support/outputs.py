# SPDX-License-Identifier: Apache-2.0
"""A tiny encoder that returns whatever tensors of its inside, and what it takes to compare them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils import _pytree

import hlsgen
from hlsgen.frontend.read.leaves import leaf_names, tree
from hlsgen.ir import Graph

WIDTH, HEADS = 9, 3
IMAGE = (2, 4, 6)


class Inside(NamedTuple):
    """Everything that the encoder makes."""

    embedding: Tensor
    norm1: Tensor
    query: Tensor
    context: Tensor
    middle: Tensor
    activation: Tensor
    last: Tensor
    normed: Tensor


class Encoder(nn.Module):
    """One block on 1 + 6 tokens of 9 channels; `gives` makes the result of `Inside`."""

    def __init__(self, gives: Callable[[Encoder, Inside], Any]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.gives = gives
        self.patch = nn.Conv2d(IMAGE[0], WIDTH, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.place = nn.Parameter(torch.randn(1, 7, WIDTH))
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.q, self.k, self.v, self.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down, self.head = nn.Linear(WIDTH, 13), nn.Linear(13, WIDTH), nn.Linear(WIDTH, 5)
        for norm in (self.norm1, self.norm2, self.norm):
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            nn.init.normal_(norm.bias)

    def forward(self, image: Tensor) -> Any:
        """What `gives` makes."""
        tokens = self.patch(image).flatten(2).transpose(1, 2)
        embedding = torch.cat([self.token, tokens], 1) + self.place
        norm1 = self.norm1(embedding)
        parts = [layer(norm1).unflatten(2, (HEADS, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v)]
        context = scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        middle = embedding + self.proj(context)
        activation = torch.relu(self.up(self.norm2(middle)))
        last = middle + self.down(activation)
        query = self.q(norm1)
        found = Inside(embedding, norm1, query, context, middle, activation, last, self.norm(last))
        return self.gives(self, found)


@dataclass
class Pooled:
    """As `transformers` nests them."""

    token: Tensor
    mean: Tensor | None = None


torch.export.register_dataclass(Pooled)


def everything(model: Encoder, x: Inside) -> Any:
    """Each kind of tensor; some are read inside, one is there twice, one is None."""
    return OrderedDict(
        last_hidden_state=x.normed,
        nothing=None,
        pooled=Pooled(token=x.normed[:, 0], mean=x.last.mean(1)),
        hidden_states=(x.embedding, x.middle, x.last),
        inner=[x.norm1, x.query, x.context, x.activation],
        again=x.normed,
        token=x.middle[:, 2],
        scores=model.head(x.normed[:, 0]),
    )


NAMES = (
    "last_hidden_state",
    "pooled.token",
    "pooled.mean",
    "hidden_states.0",
    "hidden_states.1",
    "hidden_states.2",
    "inner.0",
    "inner.1",
    "inner.2",
    "inner.3",
    "again",
    "token",
    "scores",
)
"""Of `everything`, in order."""


def pictures(count: int, seed: int = 7) -> np.ndarray:
    """Images [count, *IMAGE], float32."""
    return np.random.default_rng(seed).normal(size=(count, *IMAGE)).astype(np.float32)


def wanted(model: nn.Module, images: np.ndarray) -> dict[str, np.ndarray]:
    """What PyTorch gives of each leaf, [N, rows, columns], by name."""
    found: dict[str, list[np.ndarray]] = {}
    for image in images:
        with torch.no_grad():
            result = model(torch.from_numpy(image)[None])
        values, spec = _pytree.tree_flatten(result)
        for name, value in zip(leaf_names(_tree(spec)), values, strict=True):
            if value is not None:
                found.setdefault(name, []).append(value.numpy().reshape(-1, value.shape[-1]))
    return {name: np.stack(values) for name, values in found.items()}


def _tree(spec: Any) -> Any:
    return None if spec.is_leaf() else tree(spec.context, [_tree(child) for child in spec.children()])


@cache
def quantized() -> tuple[nn.Module, Graph, Graph]:
    """The encoder with `everything`, its float and its integer Graph."""
    model = Encoder(everything).eval()
    graph = hlsgen.capture(model, torch.from_numpy(pictures(1)))
    return model, graph, hlsgen.quantize(graph, pictures(64)).graph
