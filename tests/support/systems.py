# SPDX-License-Identifier: Apache-2.0
"""The systems of `examples/attention`, by the names of their modules."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
from torch import nn

from hlsgen.examples import attention
from hlsgen.examples.attention.host import SHAPE

SYSTEMS = sorted(module.name for module in pkgutil.iter_modules(attention.__path__) if module.name != "host")


def system(name: str) -> nn.Module:
    """The small model of a system."""
    return importlib.import_module(f"{attention.__name__}.{name}").model()


def pictures(count: int, seed: int = 3) -> np.ndarray:
    """Random images [N, 3, H, W], each with a level of its own."""
    random = np.random.default_rng(seed)
    level = random.normal(size=(count, 3, 1, 1))
    return (random.normal(size=(count, *SHAPE)) + level).astype(np.float32)
