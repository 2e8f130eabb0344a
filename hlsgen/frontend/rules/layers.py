# SPDX-License-Identifier: Apache-2.0
"""Rules for linear layers and layer norms on tokens: they take the constants that nobody else has taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hlsgen.frontend.rules.affine import add
from hlsgen.frontend.rules.arrange import matrix, of_input, owners
from hlsgen.frontend.rules.parts import Parts, parts
from hlsgen.frontend.rules.patches import embedded, image_linear
from hlsgen.frontend.rules.rule import CallSite, array, computed, floats, rule
from hlsgen.frontend.rules.talking import OVER_HEADS, mixed
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Value
from hlsgen.frontend.rules.tokens import Operand, apart, operand
from hlsgen.ops import Add, AddConstant, Combine, Linear, Mean, Select


@rule("aten.linear.default")
def linear(at: CallSite, x: Any, weight: Any, bias: Any = None) -> Value:
    """x @ weight.T + bias on tokens, or on patches of the image."""
    x, weight = computed(x, "the linear layer's input"), floats(weight, "the linear layer's weight")
    bias = None if bias is None else floats(bias, "the linear layer's bias")
    if x.term is at.image:
        return image_linear(at, x, weight, bias)
    if isinstance(x.term.op, OVER_HEADS) and (heads := mixed(at, x, weight, bias)) is not None:
        return heads
    if isinstance(x.term.op, Join) and apart(matrix(x)) is None:
        return _of_joined(at, x, weight, bias)
    if (found := parts(matrix(x))) is not None:
        return _of_parts(at, found, weight, bias).map(lambda ids: ids.reshape(*x.shape[:-1], len(weight)))
    if x.term.is_embedding and (found := _of_patches(at, x, weight, bias)) is not None:
        return found
    found = operand(at.terms, x)
    matrix_, vector = array(weight), np.zeros(len(weight), np.float32) if bias is None else array(bias)
    rest = None
    if not found.plain:
        matrix_, vector, rest = _taken(found, matrix_, vector)
    term = _single(at, found.term)
    op, inputs = Linear(weight=matrix_, bias=vector), (term,)
    if isinstance(term.op, Linear) and (both := _after(op, term.op)) is not None:
        op, inputs = both, term.inputs
    value = at.emit(op, inputs, at.name("linear", parameter=1), (*x.shape[:-1], len(weight)))
    return value if rest is None else value.plus(rest.reshape(value.shape))


def _of_parts(at: CallSite, found: Parts, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    """A linear layer on parts of tokens: one on tokens, with zeros between the parts."""
    whole = found.weight(weight)
    repeated = None if bias is None else bias.repeat(found.count)
    result = linear(at, found.computed(), whole[:, found.used], repeated)
    fixed = found.constant(whole)
    return found.apart(result if fixed is None else result.plus(fixed))


def _of_patches(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value | None:
    """A linear layer on the patch embedding, one layer for both; None: its rows are channels."""
    try:
        return embedded(at, x, weight, bias)
    except Refusal:
        try:
            at.settle(x)
        except Refusal:
            pass
        else:
            return None
        raise


def _taken(
    found: Operand, weight: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, torch.Tensor | None]:
    """Weight and bias with the columns and constants in front of them; an offset that differs by token."""
    weight, bias, rest = weight.astype(np.float64), bias.astype(np.float64), None
    if found.offset is not None:
        moved = found.offset @ torch.from_numpy(weight.T)
        if bool((moved == moved[0]).all()):
            bias = bias + moved[0].numpy()
        else:
            rest = moved
    weight = weight * found.scale
    if found.columns is not None:
        spread = np.zeros((len(weight), found.term.shape[-1]))
        np.add.at(spread.T, found.columns, weight.T)
        weight = spread
    return weight, bias, rest


def _after(outer: Linear, inner: Linear) -> Linear | None:
    """One layer for two; None where it has more than twice the products of both, as behind mixed heads."""
    if outer.weight.shape[0] * inner.weight.shape[1] > 2 * sum(
        np.count_nonzero(layer.weight) for layer in (outer, inner)
    ):
        return None
    weight = outer.weight.astype(np.float64)
    return Linear(weight=weight @ inner.weight, bias=weight @ inner.bias + outer.bias)


def _single(at: CallSite, term: Term) -> Term:
    """A single token of the residual stream by way of a mean over it: 8 bits, as linear layers read them."""
    if term.shape[0] != 1 or not isinstance(term.op, Select | Add | AddConstant | Combine):
        return term
    return at.terms.cached(("single", term), lambda: at.terms.make(Mean(), (term,), "token", term.source))


def _of_joined(at: CallSite, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    """A linear layer for each of the joined results, added up."""
    rows = matrix(x)
    owner = owners(rows)
    first = owner.amax(0)  # a column has one layer's results, and constants: class tokens
    if not bool(((owner == first) | (owner < 0)).all()):
        at.settle(x)
        raise Refusal("results of different layers are joined token by token")
    total: Any = None
    for index in dict.fromkeys(first.tolist()):
        columns = (first == index).nonzero()[:, 0]
        part, share = rows.map(lambda ids, columns=columns: ids[:, columns]), weight[:, columns]
        if index < 0:
            offset = torch.zeros(part.shape, dtype=torch.float64) if part.offset is None else part.offset
            result: Any = offset @ share.double().T
        else:
            result = linear(at, of_input(part, index), share, bias)
            bias = None
        total = result if total is None else add(at, total, result)
    return total.map(lambda ids: ids.reshape(*x.shape[:-1], len(weight)))


@rule("aten.addmm.default")
def addmm(at: CallSite, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """Bias + x @ weight."""
    if beta != 1 or alpha != 1:
        raise Refusal(f"addmm alpha and beta must be 1, not {alpha!r} and {beta!r}")
    return linear(at, x, floats(weight, "the weight").T, bias)
