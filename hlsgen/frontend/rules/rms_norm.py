# SPDX-License-Identifier: Apache-2.0
"""Rules for `nn.RMSNorm`; `written_norms` reads what is written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.norms import normalised
from hlsgen.frontend.rules.rule import CallSite, array, computed, floats, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.ops import RMSNorm


@rule("aten.rms_norm.default")
def rms_norm(at: CallSite, x: Any, shape: list[int], weight: Any = None, eps: float | None = None) -> Value:
    """RMS norm over the last axis; without `eps` that of float32."""
    x = computed(x, "the RMS norm's input")
    if len(shape) != 1:
        raise Refusal(f"RMS norm must be over the channels, not over {len(shape)} axes")
    gamma = torch.ones(shape[0]) if weight is None else floats(weight, "the RMS norm's weight")
    epsilon = torch.finfo(torch.float32).eps if eps is None else float(eps)
    op = RMSNorm(gamma=array(gamma), beta=np.zeros(shape[0], np.float32), eps=epsilon)
    return normalised(at, op, x, at.name("rms_norm", parameter=2))


@rule("aten._fused_rms_norm.default")
def fused_rms_norm(
    at: CallSite, x: Any, shape: list[int], weight: Any = None, eps: float | None = None
) -> tuple[Value, None]:
    """What torch decomposes `nn.RMSNorm` to: the norm, and a root that only training reads."""
    return rms_norm(at, x, shape, weight, eps), None
