# SPDX-License-Identifier: Apache-2.0
"""The trained model with outliers in its residual stream, as large models have them, before it is retuned.

Outliers are added to the embeddings. Norms are then adjusted, so that the model still says something:
retuning takes minutes in place of a training.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.accuracy.pairs import Material, draw
from hlsgen.examples.digits.model import Block, VisionTransformer
from hlsgen.examples.pairs.model import pairs, store, unpacked, untrained

CLASS, CHANNELS, CORNERS = "class", "channels", "corners"
VARIANTS = CLASS, CHANNELS, CORNERS
ADDED: dict[str, tuple[tuple[slice, int, float], ...]] = {
    CLASS: ((slice(0, 1), 17, 200.0),),
    CHANNELS: ((slice(None), 5, 30.0), (slice(None), 80, -20.0), (slice(None), 150, 12.0)),
    CORNERS: ((slice(1, 2), 17, 300.0), (slice(64, 65), 17, -150.0)),
}
"""Tokens, channel and amount: the class token is token 0, the first and the last patch are corners."""
RANK = 16
DIMMED = 0.1
"""What stays of the gamma of a channel that is large in all tokens."""


class LowRank(nn.Module):
    """A matrix plus a product of two narrow ones, which alone are trained."""

    def __init__(self, matrix: Tensor) -> None:
        """The product is zero at first."""
        super().__init__()
        self.up = nn.Parameter(torch.zeros(len(matrix), RANK))
        self.down = nn.Parameter(torch.randn(RANK, matrix.shape[1]) * matrix.shape[1] ** -0.5)

    def forward(self, matrix: Tensor) -> Tensor:
        """The sum."""
        return matrix + self.up @ self.down


def begin(variant: str, resume: Path | None, source: Material) -> VisionTransformer:
    """The model that a training begins with, its matrices frozen where a variant is retuned."""
    model = untrained()
    if variant or resume:
        state = unpacked(load_file(resume)) if resume else pairs().state_dict()
        model.load_state_dict(state)
    if not variant:
        return model
    images = draw(source, 256, torch.Generator().manual_seed(4))[0]
    _disturb(model, variant, images)
    for layer in model.blocks.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.requires_grad = False
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight))
    model.head.weight.requires_grad = model.patch_embed.weight.requires_grad = False
    return model


def write(model: VisionTransformer, path: Path) -> None:
    """Write a model's weights as int8, or what was trained of a variant."""
    if not any(map(parametrize.is_parametrized, model.modules())):
        store(model, path)
        return
    result: dict[str, Tensor] = {}
    for name, value in model.named_parameters():
        *_, last = name.split(".")
        if last in ("up", "down"):
            result[name.replace("parametrizations.weight.0", "weight")] = value.detach().half()
        elif value.requires_grad:
            result[name] = value.detach().contiguous()
    save_file(result, path)


def _disturb(model: VisionTransformer, variant: str, images: Tensor) -> None:
    """Add the outliers, and adjust what follows from them."""
    spread, mean = _norm_inputs(model, images)
    added = torch.zeros_like(model.pos_embed[0])
    for tokens, channel, amount in ADDED[variant]:
        added[tokens, channel] = amount
    with torch.no_grad():
        if variant == CLASS:
            _enlarge_class(model, float(added[0].std()) / spread["norm"])
        elif variant == CHANNELS:
            for name, norm in _norms(model).items():
                large = float((spread[name] ** 2 + added[0].var()) ** 0.5)
                norm.weight.mul_(large / spread[name])
                for _, channel, amount in ADDED[variant]:
                    before = norm.weight[channel] * mean[name][channel] * spread[name] / large
                    norm.weight[channel] *= DIMMED
                    norm.bias[channel] += before - norm.weight[channel] * amount / large
        model.pos_embed.add_(added)


def _enlarge_class(model: VisionTransformer, by: float) -> None:
    """The class token's own part, and what the last block adds to it, so that a norm sees it beside 200."""
    last = model.blocks[-1]
    assert isinstance(last, Block)
    model.pos_embed[:, 0] += (by - 1.0) * (model.cls_token[0] + model.pos_embed[:, 0])
    for layer in (last.attn.proj, last.mlp.fc2):
        layer.weight.mul_(by)
        layer.bias.mul_(by)


def _norms(model: VisionTransformer) -> dict[str, nn.LayerNorm]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.LayerNorm)}


def _norm_inputs(model: VisionTransformer, images: Tensor) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Of each norm the mean deviation of a row, and each channel's mean after division by the row's own.

    Of the last norm only the class token counts: nothing else is read.
    """
    spread: dict[str, float] = {}
    mean: dict[str, Tensor] = {}

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        name, (value,) = names[layer], inputs
        rows = (value[:, 0] if name == "norm" else value).detach().flatten(0, -2)
        spread[name] = float(rows.std(-1).mean())
        mean[name] = ((rows - rows.mean(-1, keepdim=True)) / rows.std(-1, keepdim=True)).mean(0)

    watched = copy.deepcopy(model)
    names: dict[nn.Module, str] = {layer: name for name, layer in _norms(watched).items()}
    for layer in names:
        layer.register_forward_pre_hook(look)
    with torch.no_grad():
        watched(images)
    return spread, mean
