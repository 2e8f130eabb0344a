# SPDX-License-Identifier: Apache-2.0
"""The grammar of float Graphs: what an op is, what it reads, and what it gives.

Every op of a float Graph states it on its class. Front end and quantizer read it there, and have no list of
ops of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op


class Kind(enum.Enum):
    """The kind of integer that a tensor becomes."""

    IMAGE = "the image"
    NARROW = "int8 features"
    INDEX = "the index of a table"
    WIDE = "int16 residual values"
    LOGITS = "attention logits"
    NUMERATOR = "softmax weights"
    ROUTER = "router logits"
    ROUTING = "a routing"
    OUTPUT = "the model's output"


class Part(enum.Enum):
    """The part of a model that an op's result is, in words for a user."""

    PATCHES = "patches"
    STREAM = "the residual stream"
    CHOICE = "a choice by task"
    EXPERTS = "a layer of experts"
    MIXTURE = "a mixture of experts"
    ROUTING = "a routing"
    ACTIVATION = "an activation"
    ATTENTION = "attention"
    NORM = "a layer norm"
    LINEAR = "a linear layer"
    MEAN = "a mean over tokens"
    SCORES = "attention scores"
    SELECTED = "selected tokens"
    SOFTMAX = "softmax"
    CAST = "an 8-bit form"
    PRODUCT = "a product of two tensors"
    TRANSPOSED = "transposed tokens"
    CONSTANT = "a constant"


TOKENS = (
    Part.STREAM,
    Part.SELECTED,
    Part.LINEAR,
    Part.NORM,
    Part.ATTENTION,
    Part.ACTIVATION,
    Part.MEAN,
    Part.PRODUCT,
    Part.TRANSPOSED,
    Part.CONSTANT,
)
"""What is a row of values for each token: wherever one of them is read, any other may stand as well."""


@dataclass(frozen=True)
class Input:
    """One input of an op.

    `kind` is what it must be in integers; None: what the op gives. `parts` are what may stand there in a
    model, and `name` is what a refusal calls the input; no parts: the image.
    """

    kind: Kind | None
    parts: tuple[Part, ...] = ()
    name: str = ""


class FloatOp(Op):
    """An op of a float Graph: its place in a model."""

    part: ClassVar[Part]
    title: ClassVar[str] = ""
    """What a refusal calls the op; empty: its part's words."""
    reads: ClassVar[tuple[Input, ...]]
    """Input by input; an op with more inputs reads the others as it reads the last."""
    gives: ClassVar[tuple[Kind, ...]]
    """What its result can be; the first is what a refusal names."""
    shares: ClassVar[tuple[int, ...]] = ()
    """The inputs of which the result has the scale."""
    by_token: ClassVar[bool] = False
    """Whether a token's result depends on that token alone, so that tokens can be selected before it."""
    units: ClassVar[tuple[str, ...]] = ()
    """The units of the machine that execute it, by their names in `machine/modes`: for `hlsgen ops`."""
    misplaced: ClassVar[str] = ""
    """The refusal of inputs of other parts, `{}` for what each is; empty: a sentence on the wrong input."""

    @classmethod
    def words(cls) -> str:
        """What a refusal calls the op."""
        return cls.title or cls.part.value

    @classmethod
    def moves(cls) -> bool:
        """Whether the op moves values only: it then stands in integer Graphs, too."""
        return cls.golden is not Op.golden

    def reading(self, count: int) -> tuple[Input, ...]:
        """How each of `count` inputs is read."""
        return self.reads[:count] + self.reads[-1:] * (count - len(self.reads))

    def unfit(self) -> str:
        """What is wrong with the op's own numbers; empty: nothing."""
        return ""

    def times(self, factor: float) -> FloatOp | None:
        """The op whose result is `factor` times this one's; None: there is none."""
        del factor
        return None

    def times_columns(self, factors: np.ndarray) -> FloatOp | None:
        """The op whose result is this one's times one factor per column [D]; None: there is none."""
        del factors
        return None

    def plus(self, row: np.ndarray) -> FloatOp | None:
        """The op whose result is this one's plus `row` [D], for every token; None: there is none."""
        del row
        return None


def placed(op: Op) -> FloatOp:
    """The op as one of a float Graph; raises `TypeMismatch` where it is none."""
    match op:
        case FloatOp():
            return op
        case _:
            raise TypeMismatch(f"{type(op).__name__} has no place in a float graph")


def either(parts: Sequence[Part]) -> str:
    """Parts in words: 'a, b or c'; all of `TOKENS` together are 'rows of tokens'."""
    every = set(TOKENS) <= set(parts)
    shown = [part.value for part in parts if not every or part not in TOKENS]
    shown = ["rows of tokens", *shown] if every else shown
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
