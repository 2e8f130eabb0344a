# SPDX-License-Identifier: Apache-2.0
"""The roles of integer ops: what a command is made of. The only list of what fuses with what.

A command is a product. On the way in it takes access and load ops along: each command that reads them does
their work again, at no cost. On the way out it takes drain ops along. Two products are a pair where the
second one reads the first one's scores. An op without a product to go with gets one: `forms` puts a copy
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Graph, Node, Op
from hlsgen.ops import (
    Choose,
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerConstant,
    IntegerContext,
    IntegerExp,
    IntegerExpertLinear,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    IntegerMixedScores,
    IntegerRoute,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
)
from hlsgen.ops.norm import IntegerNorm


class Role(Enum):
    """The part of a command that an op is."""

    ACCESS = "the rows that LOAD reads"
    LOAD = "what LOAD makes of them"
    PRODUCT = "what MULTIPLY does"
    SCORES = "the first product of a pair, and what LOAD makes of its scores"
    PAIR = "the second product of a pair"
    DRAIN = "what DRAIN does with the results"
    EXPERTS = "a part of a mixture of experts"


@dataclass(frozen=True)
class Row:
    """A row of the table: an op's role, and its neighbours in one command.

    over: ops that may make its first input in the same command. under: ops that may read its result there.
    """

    role: Role
    over: tuple[type[Op], ...] = ()
    under: tuple[type[Op], ...] = ()


LOADS = (IntegerNorm, IntegerMean)
DRAINS = (IntegerTable, IntegerAdd, IntegerAddConstant)
SCORES = (IntegerScores, IntegerMixedScores)

ROLES: dict[type[Op], Row] = {
    Patches: Row(Role.ACCESS),
    Select: Row(Role.ACCESS, over=(Select,)),
    Gather: Row(Role.ACCESS),
    IntegerMean: Row(Role.LOAD, over=(Select,)),
    IntegerNorm: Row(Role.LOAD, over=(IntegerMean, Select, Gather)),
    IntegerLinear: Row(Role.PRODUCT, over=(Patches, *LOADS, Select, Gather), under=DRAINS),
    IntegerGroupedLinear: Row(Role.PRODUCT, over=(IntegerNorm, Select), under=DRAINS),
    IntegerMatmul: Row(Role.PRODUCT, under=DRAINS),
    IntegerConstant: Row(Role.PRODUCT, under=(IntegerAdd,)),
    IntegerScores: Row(Role.SCORES),
    IntegerMixedScores: Row(Role.SCORES),
    IntegerExp: Row(Role.SCORES, over=SCORES),
    IntegerContext: Row(Role.PAIR, over=(IntegerExp,)),
    IntegerTable: Row(Role.DRAIN),
    IntegerAdd: Row(Role.DRAIN),
    IntegerAddConstant: Row(Role.DRAIN),
    Choose: Row(Role.EXPERTS),
    IntegerRoute: Row(Role.EXPERTS),
    IntegerExpertLinear: Row(Role.EXPERTS, over=(IntegerNorm,)),
    IntegerCombine: Row(Role.EXPERTS),
}
"""Drain ops have nothing under them: DRAIN does one of them with a command's results."""


def row_of(op: Op) -> Row:
    """The op's row in the table, or its base's."""
    for base in type(op).__mro__:
        if base in ROLES:
            return ROLES[base]
    raise TypeMismatch(f"{type(op).__name__} has no role in a command")


def split(op: Op) -> int:
    """Parts of a row that the op makes one by one, and which lie apart; 1: it makes whole rows."""
    match op:
        case IntegerMatmul(heads=parts, stacked=False) | IntegerGroupedLinear(groups=parts):
            return parts
        case IntegerNorm(heads=parts):
            return parts
        case _:
            return 1


def takes(op: Op, drain: Op) -> bool:
    """Whether the results of a product may go through a drain op in the same command.

    What is made part by part lies apart, so it has no rows to add; DRAIN adds constants to zeros only.
    """
    if not isinstance(drain, row_of(op).under):
        return False
    match op:
        case IntegerConstant(value=value):
            return not value.any()
        case IntegerMatmul(stacked=True):
            return False
        case _:
            return isinstance(drain, IntegerTable) or split(op) == 1


def along(op: Op, load: Op) -> bool:
    """Whether the command of `op`, or its load, may do an access or load op on the way in.

    LOAD saturates a mean to 8 bits for a product, to 16 for a norm.
    """
    if not isinstance(load, row_of(op).over):
        return False
    match op:
        case IntegerGroupedLinear(groups=groups) if isinstance(load, IntegerNorm):
            return split(load) == groups
        case IntegerNorm(heads=heads) if isinstance(load, Gather):
            return heads == 1
        case IntegerNorm(heads=heads) if isinstance(load, IntegerMean):
            return heads == 1 and (load.low, load.high) == (-(1 << 15), (1 << 15) - 1)
        case IntegerLinear() if isinstance(load, IntegerMean):
            return (load.low, load.high) == (-128, 127)
        case IntegerLinear() | IntegerExpertLinear():
            return split(load) == 1
        case _:
            return True


def drained_side(add: Node, graph: Graph) -> int | None:
    """The side of an addition that is added as it leaves the array; None: no side can be.

    Of two products the second one is. What others read as well is stored, so it is not.
    """
    for side in reversed(range(len(add.inputs))):
        if is_drained(add.inputs[side], add, graph):
            return side
    return None


def is_drained(name: str, user: Node, graph: Graph) -> bool:
    """Whether the tensor is a product's result that `user` alone reads, as it leaves the array."""
    readers = [each for node in graph.users(name) for each in node.inputs if each == name]
    if name == graph.input or name in graph.outputs or len(readers) != 1:
        return False
    return takes(graph.node(name).op, user.op)
