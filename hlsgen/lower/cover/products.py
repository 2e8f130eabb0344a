# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors and constants as steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.lower.operands import left_heads
from hlsgen.lower.refuse import must_be
from hlsgen.lower.step import Factors, LinearStep, Rows
from hlsgen.machine.format.commands import Drain, Load
from hlsgen.ops import (
    IntegerAddConstant,
    IntegerConstant,
    IntegerLinear,
    IntegerMatmul,
)


def factors_of(node: Node, graph: Graph) -> Factors:
    """What a product of two tensors multiplies its rows by."""
    match node.op:
        case IntegerMatmul(heads=heads, transposed=transposed, shared=shared):
            left = left_heads(node, graph)
            return Factors(
                tensor=node.inputs[1], keys=transposed, heads=heads, left_heads=left, shared=shared
            )
        case _:
            raise must_be(node, "a product of two tensors")


def matmul_step(node: Node, graph: Graph, common: dict[str, Any]) -> LinearStep:
    """Rows of the feature memory times keys or values."""
    match node.op:
        case IntegerMatmul(stacked=stacked):
            rows = Rows(load=Load.ROWS, tensor=node.inputs[0])
            return LinearStep(
                rows=rows, linear=node, stacked=stacked, factors=factors_of(node, graph), **common
            )
        case _:
            raise must_be(node, "a product of two tensors")


def constant_step(node: Node, common: dict[str, Any]) -> LinearStep:
    """Weights of zero, whatever the operand, and the constant as addend, unless another one is added."""
    match node.op:
        case IntegerConstant(value=value, low=low, high=high, scale=scale):
            zeros = np.zeros(value.shape[1], np.int64)
            linear = IntegerLinear(
                weight=np.zeros((len(zeros), 1), np.int8), bias=zeros, multiplier=zeros, shift=zeros,
                low=low, high=high, scale=scale,
            )  # fmt: skip
            addend = dataclasses.replace(node, op=IntegerAddConstant(value=value))
            stored = {"drain": Drain.ADD, "constant": addend} if common["drain"] is Drain.REQUANTIZE else {}
            rows = Rows(load=Load.ROWS, tensor="")
            return LinearStep(rows=rows, linear=dataclasses.replace(node, op=linear), **common | stored)
        case _:
            raise must_be(node, "a constant")
