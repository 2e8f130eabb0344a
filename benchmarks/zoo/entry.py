# SPDX-License-Identifier: Apache-2.0
"""One model of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Made = tuple[torch.nn.Module, Any]
"""A model in eval mode, and its example: an image, or a mapping of one."""


ABSENT = "absent"
"""The result of a class that is `NotHere`."""
PATIENCE = 20
"""Seconds after which no further size of a class is tried."""


class NotHere(Exception):
    """The class is no model of one image: it needs other inputs, or no small configuration of it runs."""


@dataclass(frozen=True)
class Entry:
    """A class of a library with the way to build a small one of it."""

    library: str
    name: str
    make: Callable[[], Made]

    @property
    def title(self) -> str:
        """Library and name."""
        return f"{self.library}/{self.name}"


def seeded(model: torch.nn.Module, seed: int = 7) -> torch.nn.Module:
    """The model in eval mode with lively random weights, so that no branch of it is zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point() or not _is_weight(model, name):
                continue
            fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 4
            noise = torch.randn(tensor.shape, generator=random).to(tensor.dtype)
            if tensor.dim() == 1 and name.endswith("weight"):
                tensor.copy_(1 + noise / 8)
            elif name.endswith("running_var"):
                tensor.copy_(1 + noise.abs() / 8)
            else:
                tensor.copy_(noise / fan**0.5)
    return model.eval()


def _is_weight(model: torch.nn.Module, name: str) -> bool:
    """Parameters, and the statistics of batch norms; other buffers are tables that a model computes."""
    return name in dict(model.named_parameters()) or name.endswith(("running_mean", "running_var"))
