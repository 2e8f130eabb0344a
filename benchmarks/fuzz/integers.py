# SPDX-License-Identifier: Apache-2.0
"""Random integer Graphs in which any reader takes any tensor whose integers it can take.

The quantizer makes a form of a tensor for each reader. These Graphs have no such forms: a tensor is read as
rows, as keys, as an addend and as an output at once, and lowering must copy it. What `docs/lowering.md` says
that no integer Graph may have is not drawn.
"""

from __future__ import annotations

import numpy as np

from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.masks import draw_mask
from hlsgen import numerics
from hlsgen.ir import Graph, GraphBuilder, Op, TensorType
from hlsgen.ops import (
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCast,
    IntegerConstant,
    IntegerContext,
    IntegerExp,
    IntegerGroupedLinear,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    IntegerMixedScores,
    IntegerRMSNorm,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
    Transpose,
)

NARROW, WIDE, FACTOR = (-128, 127), (-(1 << 15), (1 << 15) - 1), (-127, 127)
LOGIT_BITS = 8


def draw_integers(draw: Draw, tasks: int = 1, *, named: bool = True) -> Graph:
    """A Graph of up to 12 ops behind an embedding; all scales but those of means are 1.

    named: there may be several outputs of a task.
    """
    return _Composer(draw).build(draw.integer(2, 12), tasks, named)


class _Composer:
    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.graph = GraphBuilder("image", TensorType((1, draw.integer(2, 4), 4), -128, 127, 1.0))
        self.rows: list[str] = []
        """Tensors [T, N] that others may read."""
        self.products: set[str] = set()
        """Results of linear layers, which can be made once more."""
        self.scores: list[str] = []
        self.hidden: dict[str, int | None] = {}
        """The logit of a hidden key, of scores that may have any."""
        self.weights: list[str] = []

    def build(self, ops: int, tasks: int, named: bool) -> Graph:
        """Ops in any order; the outputs are any rows."""
        self.patches = self.graph.add("patches", Patches(patch=(1, self.draw.pick(1, 2))), ["image"])
        self.rows.append(self.patches)
        self.linear(self.patches)
        makers = [
            self.linear, self.linear, self.grouped, self.norm, self.norm, self.mean, self.wide_mean,
            self.select, self.select, self.table, self.table, self.add, self.add, self.add, self.shifted,
            self.attention, self.attention, self.again, self.mixed, self.product, self.product, self.constant,
            self.transpose,
        ]  # fmt: skip
        # Tasks may share no command, and one that all have brings the lists of orders.
        makers += [self.gather, self.gather] if tasks == 1 else []
        for _ in range(ops):
            self.draw.pick(*makers)(self.draw.pick(*self.rows))
        names = self.draw.pick((), (), ("a", "b"), ("a", "b", "c")) if named else ()
        outputs = [self.draw.pick(*self.rows, self.rows[-1]) for _ in range(tasks * max(1, len(names)))]
        return self.graph.finish(*outputs, names=names)

    # -- what there is -----------------------------------------------------------------------------------

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.type_of(name).shape

    def within(self, name: str, span: tuple[int, int]) -> bool:
        low, high = self.graph.type_of(name).integer_range
        return low >= span[0] and high <= span[1]

    def narrow(self, x: str) -> str:
        """The tensor, or if it has 16 bits any that has 8."""
        return (
            x if self.within(x, NARROW) else self.draw.pick(*(n for n in self.rows if self.within(n, NARROW)))
        )

    def factors(self, rows: int | None = None, width: int | None = None) -> list[str]:
        """Tensors that can be keys or values."""
        return [
            name for name in self.rows
            if self.within(name, FACTOR)
            and (rows is None or self.shape(name)[0] == rows)
            and (width is None or self.shape(name)[1] == width)
        ]  # fmt: skip

    def heads(self, *widths: int) -> int:
        return self.draw.pick(*(h for h in (1, 2, 3, 4) if not any(width % h for width in widths)))

    def new(self, name: str, op: Op, *inputs: str, product: bool = False) -> str:
        made = self.graph.add(name, op, inputs)
        self.rows.append(made)
        if product:
            self.products.add(made)
        return made

    # -- ops ---------------------------------------------------------------------------------------------

    def weighted(self, outputs: int, inputs: int, span: tuple[int, int]) -> dict[str, object]:
        """Random weights, and constants that leave the results in a span that is not all saturated."""
        draw, wide, bits = self.draw, span == WIDE, self.draw.pick(8, 8, 4)
        shift = 14 + (0 if wide else max(4, (inputs * 64).bit_length() - 1))
        return {
            "weight": draw.array(-127, 127, (outputs, inputs)) >> (8 - bits), "weight_bits": bits,
            "bias": draw.array(-500, 500, (outputs,)),
            "multiplier": draw.array(1 << 13, (1 << 15) - 1, (outputs,)),
            "shift": np.full(outputs, shift), "low": span[0], "high": span[1], "scale": 1.0,
        }  # fmt: skip

    def linear(self, x: str) -> None:
        x = self.narrow(x)
        size, span = (
            self.draw.pick(1, 4, 4, 6, 6, self.shape(x)[1]),
            self.draw.pick(NARROW, FACTOR, FACTOR, WIDE),
        )
        span = self.draw.pick(span, span, (-9, 40))
        fields = self.weighted(size, self.shape(x)[1], span)
        self.new("linear", IntegerLinear(**fields), x, product=True)  # type: ignore[arg-type]

    def grouped(self, x: str) -> None:
        x = self.narrow(x)
        groups = self.heads(self.shape(x)[1])
        fields = self.weighted(groups * self.draw.pick(1, 2, 3), self.shape(x)[1] // groups, NARROW)
        span = self.draw.pick(NARROW, FACTOR, WIDE)
        fields |= {"low": span[0], "high": span[1]}
        self.new("grouped", IntegerGroupedLinear(groups=groups, **fields), x, product=True)  # type: ignore[arg-type]

    def norm(self, x: str) -> None:
        kind = self.draw.pick(IntegerLayerNorm, IntegerLayerNorm, IntegerRMSNorm, IntegerCast)
        split = self.within(x, NARROW) or x in self.products
        heads = self.heads(self.shape(x)[1]) if split and kind is not IntegerCast else 1
        epsilon = 1 << 46 if kind is IntegerCast else 50
        shifted = heads == 1 and kind is not IntegerCast and self.draw.integer(0, 1)
        op = kind(
            epsilon=epsilon, gain=1 << 14, gain_shift=self.draw.integer(8, 10), heads=heads,
            shifts=self.draw.array(0, 7, (self.shape(x)[1],)) if shifted else None,
        )  # fmt: skip
        self.new("norm", op, x)

    def mean(self, x: str) -> None:
        low, high = self.draw.pick(NARROW, NARROW, (0, 127), (-100, 3))
        self.new("mean", IntegerMean(shift=self.draw.integer(0, 3), low=low, high=high), x)

    def wide_mean(self, x: str) -> None:
        """Norms alone read it."""
        mean = self.graph.add(
            "pool", IntegerMean(shift=self.draw.integer(0, 2), low=WIDE[0], high=WIDE[1]), [x]
        )
        self.new("pooled", IntegerLayerNorm(epsilon=9, gain=1 << 14, gain_shift=9), mean)

    def select(self, x: str) -> None:
        start = self.draw.integer(0, self.shape(x)[0] - 1)
        self.new("selected", Select(start=start, stop=self.draw.integer(start + 1, self.shape(x)[0])), x)

    def gather(self, x: str) -> None:
        """Rows in any order, some of them zeros."""
        x = self.narrow(x)
        count = self.draw.integer(1, 2 * self.shape(x)[0])
        places = self.draw.array(self.draw.pick(-1, 0), self.shape(x)[0] - 1, (count, 1))
        self.new("ordered", Gather(places=places), x)

    def table(self, x: str) -> None:
        """Of what there is, or of a layer's results of more bits, which others may read, too."""
        x, bits = self.narrow(x), self.draw.pick(8, 8, 10)
        half = 1 << (bits - 1)
        if bits > 8:
            width = self.shape(x)[1]
            fields = self.weighted(width, width, (-half, half - 1))
            x = self.new("index", IntegerLinear(**fields), x, product=True)  # type: ignore[arg-type]
        self.new("table", IntegerTable(table=self.draw.array(-128, 127, (2 * half,)), scale=1.0), x)

    def add(self, x: str) -> None:
        """To any tensor of its shape, where one of both is no sum."""
        fits = [
            name for name in self.rows
            if self.shape(name) == self.shape(x)
            and self.graph.type_of(name).scale == self.graph.type_of(x).scale
            and any(self.within(each, NARROW) or each in self.products for each in (name, x))
        ]  # fmt: skip
        if fits:
            self.new("sum", IntegerAdd(), x, self.draw.pick(*fits))

    def shifted(self, x: str) -> None:
        self.new("shifted", IntegerAddConstant(value=self.draw.array(-300, 300, self.shape(x))), x)

    def attention(self, x: str) -> None:
        x = self.narrow(x)
        keys = self.factors(width=self.shape(x)[1])
        if not keys:
            return
        key = self.draw.pick(*keys)
        values = self.factors(rows=self.shape(key)[0])
        value = self.draw.pick(*values)
        heads = self.heads(self.shape(x)[1], self.shape(value)[1])
        addends = self.addends(heads, self.shape(x)[0], self.shape(key)[0])
        op = IntegerScores(
            heads=heads, multiplier=1 << 14, shift=self.draw.integer(18, 22), width=LOGIT_BITS, scale=1.0,
            addends=addends,
        )  # fmt: skip
        scores = self.graph.add("scores", op, [x, key])
        self.hidden[scores] = None if addends is None else -(1 << (LOGIT_BITS - 1))
        self.context(scores, value)

    def addends(self, heads: int, queries: int, keys: int) -> np.ndarray | None:
        """What is added to scores: nothing, or numbers and hidden keys."""
        if self.draw.chance(0.5):
            return None
        seen = draw_mask(self.draw, heads, queries, keys)
        return np.where(seen, self.draw.array(-200, 200, seen.shape), numerics.HIDDEN)

    def context(self, scores: str, value: str) -> None:
        self.scores.append(scores)
        table = numerics.exp_table(self.draw.real(0.01, 0.2), LOGIT_BITS)
        exp = IntegerExp(table=table, hidden=self.hidden.get(scores))
        weights = self.graph.add("exp", exp, [scores])
        self.weights.append(weights)
        self.new("context", IntegerContext(multiplier=1 << 14, shift=14, scale=1.0), weights, value)

    def again(self, _x: str) -> None:
        """Scores, or weights, once more, with any values."""
        if not self.scores:
            return
        scores = self.draw.pick(*self.scores)
        heads, _, keys = self.shape(scores)
        values = [name for name in self.factors(rows=keys) if self.shape(name)[1] % heads == 0]
        if not values:
            return
        same = [name for name in self.weights if self.shape(name)[::2] == (heads, keys)]
        if same and self.draw.chance(0.5):
            op = IntegerContext(multiplier=1 << 14, shift=15, scale=1.0)
            self.new("context", op, self.draw.pick(*same), self.draw.pick(*values))
        else:
            self.context(scores, self.draw.pick(*values))

    def mixed(self, x: str) -> None:
        """Any rows as maps."""
        x = self.narrow(x)
        maps = self.heads(self.shape(x)[1])
        keys = self.shape(x)[1] // maps
        values = self.factors(rows=keys)
        if not values:
            return
        value = self.draw.pick(*values)
        shared = self.draw.integer(0, 1)
        heads = self.heads(self.shape(value)[1]) * (shared + 1)
        op = IntegerMixedScores(
            weight=self.draw.array(-127, 127, (heads, maps)),
            multiplier=1 << 14,
            shift=20,
            width=LOGIT_BITS,
            scale=1.0,
        )
        scores = self.graph.add("mixed", op, [x])
        table = numerics.exp_table(0.05, LOGIT_BITS)
        weights = self.graph.add("exp", IntegerExp(table=table), [scores])
        self.new(
            "context", IntegerContext(multiplier=1 << 14, shift=14, scale=1.0, shared=shared), weights, value
        )

    def product(self, x: str) -> None:
        x = self.narrow(x)
        width, transposed = self.shape(x)[1], self.draw.pick(True, False)
        others = self.factors(width=width) if transposed else self.factors(rows=width)
        if not others:
            return
        other = self.draw.pick(*others)
        heads = self.heads(self.shape(other)[1]) if not transposed or self.draw.chance(0.7) else 1
        span = self.draw.pick(NARROW, FACTOR, WIDE) if heads == 1 else self.draw.pick(NARROW, FACTOR)
        op = IntegerMatmul(
            heads=heads, transposed=transposed, multiplier=1 << 14, shift=self.draw.integer(16, 24),
            low=span[0], high=span[1], scale=1.0,
        )  # fmt: skip
        self.new("product", op, x, other)

    def constant(self, x: str) -> None:
        span = self.draw.pick(NARROW, FACTOR, WIDE)
        shape = (self.draw.pick(1, 3, self.shape(x)[0]), self.shape(x)[1])
        value = self.draw.array(*span, shape) * self.draw.pick(1, 1, 0)
        self.new("constant", IntegerConstant(value=value, low=span[0], high=span[1], scale=1.0), "image")

    def transpose(self, _x: str) -> None:
        found = self.factors()
        if found:
            x = self.draw.pick(*found)
            self.new("transposed", Transpose(heads=self.heads(self.shape(x)[1])), x)
