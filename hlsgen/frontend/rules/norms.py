# SPDX-License-Identifier: Apache-2.0
"""Rules for norms: of tokens, of each head's part of a token, of rows of several layers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.affine import batch_norm, times
from hlsgen.frontend.rules.arrange import absorbed, matrix, narrowed
from hlsgen.frontend.rules.rule import CallSite, array, computed, floats, rule
from hlsgen.frontend.rules.terms import Refusal, Value
from hlsgen.frontend.rules.tokens import apart, operand, run_of, source
from hlsgen.frontend.rules.views import joined
from hlsgen.ops import LayerNorm
from hlsgen.ops.norm import Norm


@rule("aten.layer_norm.default")
def layer_norm(
    at: CallSite,
    x: Any,
    shape: list[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    _: bool = True,
) -> Value:
    """Layer norm over the last axis."""
    x = computed(x, "the layer norm's input")
    if len(shape) != 1:
        raise Refusal(f"layer norm must be over the channels, not over {len(shape)} axes")
    gamma = torch.ones(shape[0]) if weight is None else floats(weight, "the layer norm's weight")
    beta = torch.zeros(shape[0]) if bias is None else floats(bias, "the layer norm's bias")
    op = LayerNorm(gamma=array(gamma), beta=array(beta), eps=float(eps))
    return normalised(at, op, x, at.name("layer_norm", parameter=2))


@rule("aten.native_layer_norm.default")
def native_layer_norm(
    at: CallSite, x: Any, shape: list[int], weight: Any, bias: Any, eps: float
) -> tuple[Value, None, None]:
    """What torch decomposes a layer norm to."""
    return layer_norm(at, x, shape, weight, bias, eps), None, None


def normalised(at: CallSite, op: Norm, x: Value, name: str) -> Value:
    """A norm of tokens: a factor in front of it changes only its eps, or its sign."""
    if (runs := apart(matrix(x))) is not None:
        parts = [_normalised_run(at, op, run_of(matrix(x), *run), name) for run in runs]
        found = joined(at, "aten.cat.default", tuple(parts), 0)
        return found.map(lambda ids: ids.reshape(x.shape))
    if (parts := _in_parts(at, op, x, name)) is not None:
        return parts
    found = operand(at.terms, x)
    if found.factor is None or found.offset is not None:
        at.settle(x)  # tells what is wrong with it
        raise Refusal("a constant in front of a norm has no place")
    if found.factor != 1.0:
        op = op.of_scaled(found.factor)
    return at.emit(op, (found.term,), name, x.shape)


def _normalised_run(at: CallSite, op: Norm, part: Value | torch.Tensor, name: str) -> Value | torch.Tensor:
    """A norm of some of the rows: those of one layer, or constants."""
    if isinstance(part, torch.Tensor):
        return torch.from_numpy(op.reference(part.numpy()))
    return normalised(at, op, part, name)


def _in_parts(at: CallSite, op: Norm, x: Value, name: str) -> Value | None:
    """A norm of equal parts of each token, as heads are; None: rows of `x` are something else."""
    width = x.shape[-1]
    try:
        value = source(at.terms, matrix(x))
        if value.term.is_embedding and width < value.term.shape[-1]:
            tokens = at.settle(value.map(lambda ids: ids.reshape(-1, value.term.shape[-1])))
            value = at.terms.value(tokens, value.shape)
        if len(value.term.shape) != 2 or value.term.is_embedding or int(value.ids.min()) < 0:
            return None
        value = narrowed(at.terms, value)
        heads, rest = divmod(value.term.shape[-1], width)
        first = value.ids[:, :1]
        if rest or heads == 1 or bool((first % width).any()):
            return None
        if not torch.equal(value.ids, first + torch.arange(width)):
            return None
        if isinstance(value.scale, torch.Tensor) or value.offset is not None:
            value = absorbed(at.terms, value)
    except Refusal:
        return None
    factor = value.factor()
    if factor == 0.0:
        return None
    op = op if factor == 1.0 else op.of_scaled(factor)
    gamma, beta = (np.tile(part, heads) for part in (op.gamma, op.beta))
    op = dataclasses.replace(op, gamma=gamma, beta=beta, heads=heads)
    term = at.terms.make(op, (value.term,), name, at.call.source)
    return Value(term, value.ids.reshape(x.shape))


@rule("aten.group_norm.default")
def group_norm(
    at: CallSite, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, _: bool = True
) -> Value:
    """Layer norm of each group of channels with all that lies behind them, [B, channels, ...]."""
    x = computed(x, "the group norm's input")
    width = math.prod(x.shape) // (x.shape[0] * groups)
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    rows = x.map(lambda ids: ids.reshape(-1, width))
    found = normalised(at, LayerNorm(gamma=ones, beta=zeros, eps=float(eps)), rows, at.name("group_norm"))
    found = found.map(lambda ids: ids.reshape(x.shape))
    channels = (1, -1, *[1] * (len(x.shape) - 2))
    if weight is not None:
        found = times(found, floats(weight, "the group norm's weight").double().reshape(channels))
    return found if bias is None else found.plus(floats(bias, "the group norm's bias").reshape(channels))


@rule("aten.instance_norm.default")
def instance_norm(
    at: CallSite,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    own: bool,
    momentum: float,
    eps: float,
    _: bool,
) -> Value:
    """Layer norm of each channel over all that lies behind it; with running statistics a batch norm."""
    if not own:
        return batch_norm(at, x, weight, bias, mean, var, False, momentum, eps)
    return group_norm(at, x, computed(x, "the norm's input").shape[1], weight, bias, eps)
