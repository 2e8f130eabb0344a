# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors and constants as steps, and where a product's operands lie."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.lower.refuse import must_be
from hlsgen.lower.step import Factors, LinearStep, Rows
from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.ops import (
    IntegerAddConstant,
    IntegerConstant,
    IntegerContext,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMixedScores,
    IntegerScores,
)
from hlsgen.ops.matmul import product_shape
from hlsgen.ops.norm import IntegerNorm


class Place(NamedTuple):
    """The memory and the layout that a product wants of one of its operands."""

    target: Target
    heads: int
    padded: bool = True


def product_place(node: Node, user: Node, graph: Graph) -> Place | None:
    """Where `node`'s result must lie for `user`; None: the user is no product."""
    left = user.inputs[0] == node.name
    match user.op:
        case IntegerScores(heads=heads) if left:
            return Place(Target.FEATURES, heads)
        case IntegerScores(heads=heads, shared=shared):
            return Place(Target.KEYS, heads // (shared + 1))
        case IntegerContext(shared=shared):
            return Place(Target.VALUES, graph.type_of(user.inputs[0]).shape[0] // (shared + 1))
        case IntegerMixedScores(weight=weight):
            return Place(Target.FEATURES, weight.shape[1], padded=False)
        case IntegerGroupedLinear(groups=groups):
            return Place(Target.FEATURES, groups)
        case IntegerNorm(heads=heads) if heads > 1:
            return Place(Target.RESIDUAL, heads, padded=False)
        case IntegerMatmul() if left:
            return Place(Target.FEATURES, factors_of(user, graph).left_heads)
        case IntegerMatmul(heads=heads, shared=shared, transposed=transposed):
            target = Target.KEYS if transposed else Target.VALUES
            return Place(target, heads // (shared + 1), padded=transposed)
        case _:
            return None


def factors_of(node: Node, graph: Graph) -> Factors:
    """What a product of two tensors multiplies its rows by."""
    match node.op:
        case IntegerMatmul(heads=heads, transposed=transposed, shared=shared):
            a, b = (graph.type_of(name) for name in node.inputs)
            *_, inner = product_shape(heads, transposed, a, b, shared)
            left = heads if a.shape[1] == heads * inner else 1
            return Factors(
                tensor=node.inputs[1], keys=transposed, heads=heads, left_heads=left, shared=shared
            )
        case _:
            raise must_be(node, "a product of two tensors")


def matmul_step(node: Node, graph: Graph, common: dict[str, Any]) -> LinearStep:
    """Rows of the feature memory times keys or values."""
    match node.op:
        case IntegerMatmul(heads=heads, stacked=stacked):
            return LinearStep(
                rows=Rows(load=Load.ROWS, tensor=node.inputs[0]), linear=node, stacked=stacked,
                factors=factors_of(node, graph), heads=0 if stacked or heads == 1 else heads, padded=False,
                **common,
            )  # fmt: skip
        case _:
            raise must_be(node, "a product of two tensors")


def constant_step(node: Node, common: dict[str, Any]) -> LinearStep:
    """Weights of zero, whatever the operand, and the constant as addend."""
    match node.op:
        case IntegerConstant(value=value, low=low, high=high, scale=scale):
            zeros = np.zeros(value.shape[1], np.int64)
            linear = IntegerLinear(
                weight=np.zeros((len(zeros), 1), np.int8), bias=zeros, multiplier=zeros, shift=zeros,
                low=low, high=high, scale=scale,
            )  # fmt: skip
            addend = dataclasses.replace(node, op=IntegerAddConstant(value=value))
            fields = common | {"drain": Drain.ADD, "constant": addend}
            rows = Rows(load=Load.ROWS, tensor="")
            return LinearStep(rows=rows, linear=dataclasses.replace(node, op=linear), **fields)
        case _:
            raise must_be(node, "a constant")
