# SPDX-License-Identifier: Apache-2.0
"""The model, and its weights as int8; variants of it with outliers, as what they change.

The weights were rounded after training, one scale for each output channel, so that the file is small. The
float model is the one with the rounded weights: nothing is compared with what was before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hlsgen.examples.digits.model import VisionTransformer

FOLDER = Path(__file__).parent
SCALE = ".scale"
"""Ends the name of the scales of an int8 tensor."""
UP, DOWN = ".up", ".down"
"""End the names of two narrow matrices: their product is added to the tensor of that name."""
_LARGEST = 127


def untrained() -> VisionTransformer:
    """The model with fresh weights: 65 tokens, width 192, 3 heads, 6 blocks, MLP 768."""
    return VisionTransformer(
        image=32, patch=4, channels=3, width=192, depth=6, heads=3, hidden=768, classes=100
    )


def pairs(variant: str = "") -> VisionTransformer:
    """The trained model, in eval mode: images [B, 3, 32, 32] -> logits [B, 100] of 10 a + b.

    variant: `class`, `channels` or `corners`: with large numbers in the residual stream, retuned.
    """
    return loaded(variant, weights(variant))


def loaded(variant: str, path: Path) -> VisionTransformer:
    """The model of another file, in eval mode; a variant's file changes the shipped weights."""
    stored = load_file(path)
    state = changed(unpacked(load_file(weights())), stored) if variant else unpacked(stored)
    model = untrained()
    model.load_state_dict(state)
    return model.eval()


def weights(variant: str = "") -> Path:
    """The file of the weights, or of what a variant changes."""
    return FOLDER / f"{variant or 'weights'}.safetensors"


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as int8 and a float32 scale for each output channel; the rest as float32."""
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        if not name.endswith("weight") or value.dim() < 2:
            result[name] = value.float().contiguous()
            continue
        rows = value.float().reshape(len(value), -1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / _LARGEST
        result[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(value.shape)
        result[name + SCALE] = scale
    return result


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state that `packed` took, rounded."""
    result: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        result[name] = value if scale is None else value.float() * scale.reshape(-1, *[1] * (value.dim() - 1))
    return result


def changed(state: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with other tensors of the same names, and with products added to its matrices."""
    result = dict(state)
    for name, value in stored.items():
        if name.endswith(UP):
            matrix = name.removesuffix(UP)
            result[matrix] = result[matrix] + value.float() @ stored[matrix + DOWN].float()
        elif not name.endswith(DOWN):
            result[name] = value
    return result


def store(model: VisionTransformer, path: Path) -> None:
    """Write a model's weights, rounded."""
    save_file(packed(model.state_dict()), path)
