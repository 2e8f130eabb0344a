# SPDX-License-Identifier: Apache-2.0
"""Steps: what one command executes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Node
from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.ops import Gather, IntegerExp


class Home(NamedTuple):
    """Where a tensor lies, and how: in the memory of a target, its columns split into `heads`.

    heads: 0, they are not. padded: heads take whole steps of the array, as operand rows and keys must; else
    whole words.
    """

    target: Target
    heads: int = 0
    padded: bool = True


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows LOAD reads: `tensor` from row `first` on, and the nodes that transform them on the way."""

    load: Load
    tensor: str
    first: int = 0
    norm: Node | None = None
    pool: Node | None = None
    patches: Node | None = None
    gather: Node | None = None
    """The order of the rows: of `tensor`, perhaps several side by side."""
    place: str = ""
    """The name of the tensor's region, where it is not the tensor's."""

    @property
    def region(self) -> str:
        """The name of the region that holds the rows; empty: they are anything, all weights are zero."""
        return self.place or self.tensor

    @property
    def places(self) -> np.ndarray:
        """The rows of `tensor` [T, P] that LOAD puts side by side, -1 for zeros; with a `gather` only."""
        match self.gather.op if self.gather else None:
            case Gather(places=places):
                return places
            case _:
                raise TypeMismatch(f"step: rows of %{self.tensor} are in no other order")

    @property
    def operand(self) -> str | None:
        """The graph tensor that the tile holds, when it is none of the memory's."""
        node = self.norm or self.patches or self.gather
        return node.name if node else None


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What a product multiplies its rows by, in place of weights: a tensor in key or value memory.

    heads: of the result. left_heads: of the rows, 1: all heads meet the same. shared: so many heads more meet
    the same part of the tensor as a head.
    """

    tensor: str
    keys: bool
    heads: int
    left_heads: int
    shared: int = 0

    @property
    def parts(self) -> int:
        """Heads of the tensor."""
        return self.heads // (self.shared + 1)


@dataclass(frozen=True, kw_only=True)
class LinearStep:
    """A command of one product: rows, a node with weights or factors, what DRAIN does with its result."""

    rows: Rows
    linear: Node
    drain: Drain
    result: str
    nodes: tuple[Node, ...]
    """Every node of the graph that the command executes, in order; a mixture's belong to all its commands."""
    home: Home | None = None
    """Where the result lies: see `homes`; None: nowhere yet."""
    table: Node | None = None
    addend: str | None = None
    addend_first: int = 0
    """The addend's row that is added to the first result."""
    constant: Node | None = None
    factors: Factors | None = None
    groups: int = 1
    """Parts of a row that are multiplied one by one."""
    stacked: bool = False
    """The results of each head are rows of their own."""
    tasks: int = 0
    """A bit for each task that needs the step; 0: all do."""
    route: Node | None = None
    """The routing that the step makes, or that chooses its rows."""
    expert: int = 0
    """1 + the expert whose tokens are the rows; 0: all rows."""
    combine: Node | None = None
    place: str = ""
    """The name of the result's region, where it is not the result's."""
    experts_table: Node | None = None
    """The activation table of the routing's experts, which its router commands load."""

    @property
    def target(self) -> Target:
        """Where DRAIN writes."""
        return self._home.target

    @property
    def heads(self) -> int:
        """The result's columns are split into this many heads; 0: they are not."""
        return self._home.heads

    @property
    def padded(self) -> bool:
        """See `Home`."""
        return self._home.padded

    @property
    def _home(self) -> Home:
        if self.home is None:
            raise TypeMismatch(f"step %{self.result}: its result has no home yet")
        return self.home

    @property
    def region(self) -> str:
        """The name of the region that takes the result."""
        return self.place or self.result

    @property
    def rows_stored(self) -> int:
        """Rows of the result where it is stored."""
        return self.linear.type.shape[0]

    @property
    def tile_rows(self) -> int:
        """Operand rows."""
        rows = self.linear.type.shape[0]
        return rows // self.factors.heads if self.stacked and self.factors else rows

    @property
    def parts(self) -> int:
        """Sweeps that the product must have: of heads or of groups; 1: any number."""
        return self.factors.heads if self.factors else self.groups


@dataclass(frozen=True, kw_only=True)
class AttentionStep:
    """An attention command: scores, exp and context."""

    scores: Node
    exp: Node
    context: Node
    tasks: int = 0
    windows: int = 0
    """Rows of a window, whose queries see keys of their own alone, where commands go by windows; 0: no."""
    lists: bool = False
    """Tiles read the keys that a key list says."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of the graph that the command executes, in order."""
        return self.scores, self.exp, self.context

    @property
    def digits(self) -> int:
        """Digits of 8 bits that the softmax's numerators have."""
        return self.exp.op.digits if isinstance(self.exp.op, IntegerExp) else 1

    @property
    def home(self) -> Home:
        """Where contexts lie."""
        return Home(Target.FEATURES, self.scores.type.shape[0])

    @property
    def query(self) -> str:
        """The tensor of the operand rows: queries, or the maps that scores are mixed from."""
        return self.scores.inputs[0]

    @property
    def keys(self) -> str | None:
        """The keys; None: scores are mixed from maps."""
        return self.scores.inputs[1] if len(self.scores.inputs) > 1 else None

    @property
    def values(self) -> str:
        return self.context.inputs[1]

    @property
    def operands(self) -> tuple[str, ...]:
        """The tensors in key and value memory."""
        return (self.keys, self.values) if self.keys else (self.values,)

    @property
    def shared(self) -> tuple[int, int]:
        """So many heads more meet the same keys, and the same values, as a head."""
        keys, values = (getattr(node.op, "shared", 0) for node in (self.scores, self.context))
        return keys, values

    @property
    def addends(self) -> np.ndarray | None:
        """What is added to the scores, [H, T, S]."""
        return getattr(self.scores.op, "addends", None)

    @property
    def result(self) -> str:
        return self.context.name

    @property
    def region(self) -> str:
        """The name of the region that takes the result."""
        return self.result


Step = LinearStep | AttentionStep
